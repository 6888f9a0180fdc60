"""Configuration and Kubernetes objects as frozen, decoded, checked values; one file a kind.

`KINDS` is the one list of what the mesh reads, and the place to add to. `LOOKED_AT` is what only
`isthmus analyze` looks at.
"""

from __future__ import annotations

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.deployment import DaemonSet, Deployment, StatefulSet
from isthmus.api.core.endpoint_slice import EndpointSlice
from isthmus.api.core.ingress import Ingress, IngressClass
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.node import Node
from isthmus.api.core.pod import Pod
from isthmus.api.core.secret import Secret
from isthmus.api.core.service import Service
from isthmus.api.errors import UnknownKind
from isthmus.api.gateway_api.kinds import KINDS as GATEWAY_API
from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.istio.proxy_config import ProxyConfigObject
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.api.resource import Kind, Object

_NETWORKING = "networking.istio.io"
_VERSIONS = ("v1", "v1beta1", "v1alpha3")

KINDS: tuple[Kind, ...] = (
    Kind("", ("v1",), "Namespace", "namespaces", Namespace, namespaced=False),
    Kind("", ("v1",), "Node", "nodes", Node, namespaced=False),
    Kind("", ("v1",), "Pod", "pods", Pod),
    Kind("", ("v1",), "Service", "services", Service),
    Kind("discovery.k8s.io", ("v1",), "EndpointSlice", "endpointslices", EndpointSlice),
    Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap),
    Kind("", ("v1",), "Secret", "secrets", Secret),
    Kind(_NETWORKING, _VERSIONS, "VirtualService", "virtualservices", VirtualService, True, True, ("vs",)),
    Kind(_NETWORKING, _VERSIONS, "DestinationRule", "destinationrules", DestinationRule, True, True, ("dr",)),
    Kind(_NETWORKING, _VERSIONS, "Gateway", "gateways", GatewayConfig, True, True, ("gw",)),
    Kind(_NETWORKING, _VERSIONS, "Sidecar", "sidecars", Sidecar, True, True),
    Kind(_NETWORKING, _VERSIONS, "ServiceEntry", "serviceentries", ServiceEntry, True, True, ("se",)),
    Kind(_NETWORKING, _VERSIONS, "WorkloadEntry", "workloadentries", WorkloadEntry, True, True, ("we",)),
    Kind(_NETWORKING, _VERSIONS, "WorkloadGroup", "workloadgroups", WorkloadGroup, True, True, ("wg",)),
    Kind(_NETWORKING, ("v1alpha3",), "EnvoyFilter", "envoyfilters", EnvoyFilter, True, True),
    Kind("extensions.istio.io", ("v1alpha1",), "WasmPlugin", "wasmplugins", WasmPlugin, True, True),
    Kind(_NETWORKING, ("v1beta1",), "ProxyConfig", "proxyconfigs", ProxyConfigObject, True, True),
    Kind(
        "telemetry.istio.io",
        ("v1", "v1alpha1"),
        "Telemetry",
        "telemetries",
        Telemetry,
        True,
        True,
        ("telemetry",),
    ),
    Kind(
        "security.istio.io",
        ("v1", "v1beta1"),
        "AuthorizationPolicy",
        "authorizationpolicies",
        AuthorizationPolicy,
        True,
        True,
        ("ap",),
    ),
    Kind(
        "security.istio.io",
        ("v1", "v1beta1"),
        "PeerAuthentication",
        "peerauthentications",
        PeerAuthentication,
        True,
        True,
        ("pa",),
    ),
    Kind(
        "security.istio.io",
        ("v1", "v1beta1"),
        "RequestAuthentication",
        "requestauthentications",
        RequestAuthentication,
        True,
        True,
        ("ra",),
    ),
    *GATEWAY_API,
    Kind("networking.k8s.io", ("v1",), "Ingress", "ingresses", Ingress, True, True, ("ing",)),
    Kind("networking.k8s.io", ("v1",), "IngressClass", "ingressclasses", IngressClass, False, True),
)

LOOKED_AT: tuple[Kind, ...] = (
    Kind("apps", ("v1",), "Deployment", "deployments", Deployment),
    Kind("apps", ("v1",), "StatefulSet", "statefulsets", StatefulSet),
    Kind("apps", ("v1",), "DaemonSet", "daemonsets", DaemonSet),
)
"""Kinds of which the mesh follows nothing, and which say more of what people meant."""

_BY_REF = {kind.ref_kind: kind for kind in (*KINDS, *LOOKED_AT)}
_BY_GROUP = {(kind.group, kind.name): kind for kind in (*KINDS, *LOOKED_AT)}
_BY_TYPE = {kind.type: kind for kind in (*KINDS, *LOOKED_AT)}


def kind_named(ref_kind: str) -> Kind:
    """The kind that a ref names. Raises `UnknownKind`."""
    if ref_kind not in _BY_REF:
        raise UnknownKind(f"no kind is called {ref_kind!r}")
    return _BY_REF[ref_kind]


def kind_of(api_version: str, name: str) -> Kind:
    """The kind of an object that says `apiVersion` and `kind`. Raises `UnknownKind`."""
    group, _, version = api_version.rpartition("/")
    kind = _BY_GROUP.get((group, name))
    if kind is None or version not in kind.versions:
        raise UnknownKind(f"the mesh does not read {api_version} {name}")
    return kind


def kind_of_type(found: type[Object]) -> Kind:
    """The kind that decodes to a type. Raises `UnknownKind`."""
    if found not in _BY_TYPE:
        raise UnknownKind(f"no kind decodes to {found.__name__}")
    return _BY_TYPE[found]
