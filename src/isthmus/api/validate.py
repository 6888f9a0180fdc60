"""What the shape of an object cannot say: sums, references within it, choices of which exactly one must be made."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.core import ingress, service_problems
from isthmus.api.core.ingress import Ingress
from isthmus.api.core.service import Service
from isthmus.api.durations import duration_problems
from isthmus.api.errors import Problem
from isthmus.api.gateway_api import validate as gateway_api
from isthmus.api.istio import (
    destination_rule_problems,
    envoy_filter_problems,
    gateway_problems,
    service_entry_problems,
    sidecar_problems,
    telemetry_problems,
    virtual_service_problems,
    wasm_plugin_problems,
)
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.proxy_config import ProxyConfigObject
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.api.resource import Object


def problems(found: Object) -> Iterator[Problem]:
    """Everything wrong with a decoded object: first what stands against its parts, then its durations."""
    match found:
        case VirtualService():
            yield from virtual_service_problems.problems(found)
        case DestinationRule():
            yield from destination_rule_problems.problems(found)
        case GatewayConfig():
            yield from gateway_problems.problems(found)
        case Sidecar():
            yield from sidecar_problems.problems(found)
        case ServiceEntry() | WorkloadEntry() | WorkloadGroup():
            yield from service_entry_problems.problems(found)
        case EnvoyFilter():
            yield from envoy_filter_problems.problems(found)
        case WasmPlugin():
            yield from wasm_plugin_problems.problems(found)
        case Telemetry():
            yield from telemetry_problems.problems(found)
        case ProxyConfigObject():
            yield from telemetry_problems.proxy_config_problems(found)
        case Ingress():
            yield from ingress.problems(found)
        case Service():
            yield from service_problems.problems(found)
        case _:
            yield from gateway_api.problems(found)
    yield from duration_problems(found)
