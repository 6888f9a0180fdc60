"""What the shape of an object cannot say: sums, references within it, choices of which exactly one must be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from isthmus.api.core import ingress, service_problems
from isthmus.api.core.ingress import Ingress
from isthmus.api.core.service import Service
from isthmus.api.durations import duration_problems
from isthmus.api.errors import Problem
from isthmus.api.gateway_api import validate as gateway_api
from isthmus.api.istio import (
    authorization_policy_closed,
    authorization_policy_problems,
    destination_rule_problems,
    envoy_filter_problems,
    gateway_problems,
    peer_authentication_closed,
    peer_authentication_problems,
    request_authentication_problems,
    service_entry_problems,
    sidecar_problems,
    telemetry_problems,
    virtual_service_problems,
    wasm_plugin_problems,
)
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
from isthmus.api.resource import Meta, Object

_OF: Mapping[type[Object], Callable[[Any], Iterator[Problem]]] = {
    VirtualService: virtual_service_problems.problems,
    DestinationRule: destination_rule_problems.problems,
    GatewayConfig: gateway_problems.problems,
    Sidecar: sidecar_problems.problems,
    ServiceEntry: service_entry_problems.problems,
    WorkloadEntry: service_entry_problems.problems,
    WorkloadGroup: service_entry_problems.problems,
    EnvoyFilter: envoy_filter_problems.problems,
    WasmPlugin: wasm_plugin_problems.problems,
    Telemetry: telemetry_problems.problems,
    PeerAuthentication: peer_authentication_problems.problems,
    AuthorizationPolicy: authorization_policy_problems.problems,
    RequestAuthentication: request_authentication_problems.problems,
    ProxyConfigObject: telemetry_problems.proxy_config_problems,
    Ingress: ingress.problems,
    Service: service_problems.problems,
}
"""What is looked for in each kind; the others are of the Gateway API, or have nothing that could be wrong so."""


def instead_of(
    kind: type[Object], found: Object | None, meta: Meta, wrong: Sequence[Problem]
) -> Object | None:
    """What counts in place of an object of a kind that keeps callers out, while no good one is known.

    `found` is what could be read of it; None: nothing but its name.
    """
    closed = _CLOSED.get(kind)
    return None if closed is None else closed(found or kind(metadata=meta), wrong)


_CLOSED: Mapping[type[Object], Callable[[Any, Sequence[Problem]], Object | None]] = {
    AuthorizationPolicy: authorization_policy_closed.closed,
    PeerAuthentication: peer_authentication_closed.closed,
}


def problems(found: Object) -> Iterator[Problem]:
    """Everything wrong with a decoded object: first what stands against its parts, then its durations."""
    yield from _OF.get(type(found), gateway_api.problems)(found)
    yield from duration_problems(found)
