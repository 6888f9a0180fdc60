"""What an object of configuration touches, and in which proxies: each kind says both here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.api.resource import Object
from isthmus.model import health
from isthmus.model.authorization_policies import is_for_services
from isthmus.model.credential_uses import uses_of
from isthmus.model.doors import SHUT
from isthmus.model.peer_authentications import selected as peers_selected
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.rules import MESH, RUN_IN, workloads_of
from isthmus.model.selection import selects
from isthmus.model.sidecars import selected
from isthmus.model.visibility import is_visible
from isthmus.translate.collector_places import OUTSIDE
from isthmus.translate.gateway_servers import passes_automatically
from isthmus.translate.names import VIRTUAL_INBOUND
from isthmus.translate.patch.apply import WHOLE
from isthmus.translate.patch.compiled import Patch, compiled, types_of
from isthmus.translate.patch.plugins import compiled_plugin
from isthmus.translate.transition import NOTHING, Names, Transition
from isthmus.translate.types import DOORS, ENDPOINTS, LISTENER, PROBE, ROUTES, SECRET, TYPES, UPSTREAM

Touch = Mapping[str, Names]
"""By type what may differ; of a type that is not named, nothing."""
COLLECTORS = frozenset({OUTSIDE})
"""Stands for the upstreams of the collectors, outside of the mesh, to which a proxy reports or did."""
EVERYTHING: Touch = dict.fromkeys(TYPES)


def together(touches: Iterable[Touch]) -> Touch:
    """All of it."""
    found: dict[str, Names] = {}
    for each in touches:
        for type_url, named in each.items():
            before = found.get(type_url, NOTHING)
            found[type_url] = None if named is None or before is None else before | named
    return found


def concerns(found: Object, proxy: Proxy, roots: Collection[str]) -> bool:
    """Whether it may matter to a proxy. It may say yes too often, never too seldom."""
    namespace = found.metadata.namespace
    match found:
        case VirtualService():
            return _is_asked(found, proxy)
        case DestinationRule():
            workloads = workloads_of(found)
            if workloads and (namespace != proxy.namespace or not proxy.has_labels(dict(workloads))):
                return False
            return is_visible(found.spec.export_to, namespace, proxy.namespace)
        case GatewayConfig():
            is_run = found.metadata.annotations.get(RUN_IN, proxy.namespace) == proxy.namespace
            return proxy.kind is ProxyKind.ROUTER and is_run and proxy.has_labels(found.spec.selector)
        case Sidecar():
            is_near = proxy.kind is ProxyKind.SIDECAR and namespace in (proxy.namespace, *roots)
            return is_near and proxy.has_labels(selected(found))
        case WorkloadGroup():
            return namespace == proxy.namespace
        case PeerAuthentication():
            # By the labels that the pod has now, which may be others than the proxy was started with.
            return namespace == proxy.namespace or (namespace in roots and not peers_selected(found))
        case EnvoyFilter() | WasmPlugin() | Telemetry() | RequestAuthentication():
            return namespace in (proxy.namespace, *roots) and selects(found, proxy)
        case AuthorizationPolicy():
            return namespace in (proxy.namespace, *roots) and (
                selects(found, proxy) or is_for_services(found)
            )
    return True


def touches(found: Object, step: Transition, kind: ProxyKind) -> Touch:
    """What it may change in proxies of a kind that it concerns, by being there or not. Kinds unknown: nothing."""
    match found:
        case VirtualService():
            return {ROUTES: None, **({LISTENER: None} if step.routes_connections else {})}
        case DestinationRule():
            return _destination_rule(found, step, kind)
        case GatewayConfig():
            behind = any(map(passes_automatically, found.spec.servers))
            more = {UPSTREAM: None, ENDPOINTS: None} if behind else {}
            return {LISTENER: None, ROUTES: None, SECRET: _secrets(found), **more}
        case Sidecar():
            return EVERYTHING
        case EnvoyFilter():
            return together(_patched(each, step) for each in compiled(found)[0] if each)
        case WasmPlugin():
            return together(_patched(each, step) for each in compiled_plugin(found)[0] if each)
        case PeerAuthentication():
            return {LISTENER: step.by_address | {VIRTUAL_INBOUND}, DOORS: frozenset({SHUT})}
        case Telemetry():
            return {UPSTREAM: None, LISTENER: None}
        case AuthorizationPolicy() | RequestAuthentication():
            return {LISTENER: None if kind is ProxyKind.ROUTER else step.inbound_listeners}
        case WorkloadGroup():
            return {PROBE: frozenset({health.NAME})}
    return {}


def _is_asked(found: VirtualService, proxy: Proxy) -> bool:
    if not found.spec.hosts:
        return True  # others leave paths to it, and these are shown to whom they say
    gateways = found.spec.gateways or (MESH,)
    if proxy.kind is ProxyKind.SIDECAR and MESH not in gateways:
        return False
    if proxy.kind is ProxyKind.ROUTER and gateways == (MESH,):
        return False
    return is_visible(found.spec.export_to, found.metadata.namespace, proxy.namespace)


def _destination_rule(found: DestinationRule, step: Transition, kind: ProxyKind) -> Touch:
    """What is named after the services that it is written for, and where routes lead to these."""
    keys = step.keys(found.spec.host, found.metadata.namespace)
    upstreams = step.upstreams(keys)
    return {
        UPSTREAM: upstreams,
        ENDPOINTS: upstreams,
        LISTENER: step.listeners(keys, kind),
        SECRET: _secrets(found),
        **({ROUTES: None} if step.shapes_routes(keys) else {}),
    }


def _secrets(found: Object) -> frozenset[str]:
    return frozenset(use.name for use in uses_of(found))


def _patched(patch: Patch, step: Transition) -> Touch:
    """The resources that a patch may change, as far as it names them."""
    if patch.operation == "ADD" and patch.apply_to in WHOLE.values():
        return dict.fromkeys(types_of(patch.apply_to), frozenset({str(getattr(patch.value, "name", ""))}))
    match = patch.match
    if match.cluster is not None and match.cluster.name:
        return {UPSTREAM: frozenset({match.cluster.name})}
    if match.cluster is not None and match.cluster.service:
        keys = step.keys(match.cluster.service, "")
        return {UPSTREAM: step.upstreams(keys) | step.inbound(keys)}
    if match.listener is not None and match.listener.name:
        return {LISTENER: frozenset({match.listener.name})}
    return dict.fromkeys(types_of(patch.apply_to))
