"""Whom a changed object of configuration may concern: proxies that it cannot concern need not look again."""

from __future__ import annotations

from collections.abc import Collection

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.api.resource import Object
from isthmus.model.proxy import ProxyKind
from isthmus.model.rules import MESH
from isthmus.model.visibility import is_visible


def concerns(found: Object, kind: ProxyKind, namespace: str, roots: Collection[str]) -> bool:
    """Whether `found` may matter to proxies of a kind and namespace. It may say yes too often, never too seldom."""
    if isinstance(found, GatewayConfig):
        return kind is ProxyKind.ROUTER
    if isinstance(found, Sidecar):
        return kind is ProxyKind.SIDECAR and found.metadata.namespace in (namespace, *roots)
    if isinstance(found, VirtualService):
        return _virtual_service_concerns(found, kind, namespace)
    if isinstance(found, DestinationRule):
        return is_visible(found.spec.export_to, found.metadata.namespace, namespace)
    if isinstance(found, EnvoyFilter | WasmPlugin | Telemetry):
        return found.metadata.namespace in (namespace, *roots)
    return True


def _virtual_service_concerns(found: VirtualService, kind: ProxyKind, namespace: str) -> bool:
    if not found.spec.hosts:
        return True  # others leave paths to it, and these are shown to whom they say
    gateways = found.spec.gateways or (MESH,)
    if kind is ProxyKind.SIDECAR and MESH not in gateways:
        return False
    if kind is ProxyKind.ROUTER and gateways == (MESH,):
        return False
    return is_visible(found.spec.export_to, found.metadata.namespace, namespace)
