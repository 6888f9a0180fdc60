"""Which proxies an object is for that selects some: by labels, or by the Gateway that they were made for."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.envoy_filter import EnvoyFilter, PolicyTargetReference
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.model.proxy import Proxy

Selecting = AuthorizationPolicy | EnvoyFilter | RequestAuthentication | Telemetry | WasmPlugin
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""Label of the pods, and all other objects, that are made for a Gateway."""
GATEWAY_CLASS = "gateway.networking.k8s.io/gateway-class-name"
PROXIES_BY_LABEL = {
    ("gateway.networking.k8s.io", "Gateway"): GATEWAY_NAME,
    ("gateway.networking.k8s.io", "GatewayClass"): GATEWAY_CLASS,
}
"""By which label the proxies of an object are known."""


def selects(found: Selecting, proxy: Proxy) -> bool:
    """Whether it is for a proxy with these labels; of its namespace or the root's the proxy must be."""
    return selects_labels(found, proxy.namespace, dict(proxy.labels))


def selects_labels(found: Selecting, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether it is for workloads of that namespace with these labels; as of `selects`."""
    references = references_of(found)
    if references:
        return any(_refers(each, found.metadata.namespace, namespace, labels) for each in references)
    return labels_of(found).items() <= labels.items()


def references_of(found: Selecting) -> tuple[PolicyTargetReference, ...]:
    """The objects whose proxies are meant; where there are any, labels do not count."""
    one = None if isinstance(found, EnvoyFilter) else found.spec.target_ref
    return found.spec.target_refs if one is None else (*found.spec.target_refs, one)


def labels_of(found: Selecting) -> dict[str, str]:
    """The labels of the proxies that are meant; empty: all."""
    if isinstance(found, EnvoyFilter):
        return found.spec.workload_selector.labels if found.spec.workload_selector is not None else {}
    return found.spec.selector.match_labels if found.spec.selector is not None else {}


def _refers(
    reference: PolicyTargetReference, written_in: str, namespace: str, labels: Mapping[str, str]
) -> bool:
    """Whether a reference in an object of one namespace means proxies of the other with these labels."""
    label = PROXIES_BY_LABEL.get((reference.group, reference.kind))
    if label is None:
        return False
    if label == GATEWAY_NAME and namespace != (reference.namespace or written_in):
        return False
    return labels.get(label) == reference.name
