"""What the shape of an object cannot say: sums, references within it, choices of which exactly one must be made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from isthmus.api.core import ingress
from isthmus.api.core.ingress import Ingress
from isthmus.api.gateway_api import validate as gateway_api
from isthmus.api.istio import (
    envoy_filter_problems,
    service_entry_problems,
    telemetry_problems,
    wasm_plugin_problems,
)
from isthmus.api.istio.destination_rule import DestinationRule, PortTrafficPolicy, TrafficPolicy
from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.proxy_config import ProxyConfigObject
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.istio.virtual_service import (
    Destination,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    RouteDestination,
    StringMatch,
    VirtualService,
)
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.api.resource import Object, Part
from isthmus.kit import duration

Problem = tuple[str, str]
"""The path in the object, and what is wrong there with the mend."""

_BALANCERS = {
    "", "UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "ROUND_ROBIN", "PASSTHROUGH",
}  # fmt: skip
_TLS_MODES = {"DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"}
_SERVER_PROTOCOLS = {"HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS"}
_DURATIONS = {
    "timeout", "perTryTimeout", "backoff", "fixedDelay", "maxAge", "ttl", "connectTimeout", "idleTimeout",
    "maxConnectionDuration", "interval", "time", "baseEjectionTime", "duration", "warmupDurationSecs",
    "budgetInterval",
}  # fmt: skip


def problems(found: Object) -> Iterator[Problem]:
    """Everything wrong with a decoded object: first what stands against its parts, then its durations."""
    match found:
        case VirtualService():
            yield from _virtual_service(found)
            yield from durations("$.spec", found.spec)
        case DestinationRule():
            yield from _destination_rule(found)
            yield from durations("$.spec", found.spec)
        case GatewayConfig():
            yield from _gateway(found)
        case Sidecar():
            yield from _sidecar(found)
            yield from durations("$.spec", found.spec)
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
        case _:
            yield from gateway_api.problems(found)


def _sidecar(found: Sidecar) -> Iterator[Problem]:
    selector = found.spec.workload_selector
    if selector is not None and not selector.labels:
        yield (
            "$.spec.workloadSelector.labels",
            "is empty (hint: leave the selector out for the whole namespace)",
        )
    for index, listener in enumerate(found.spec.egress):
        at = f"$.spec.egress[{index}]"
        if not listener.hosts:
            yield f"{at}.hosts", 'is empty (hint: "./*" for this namespace, "*/*" for all, "~/*" for none)'
        for number, host in enumerate(listener.hosts):
            namespace, slash, name = host.partition("/")
            if not slash or not namespace or not name or "/" in name:
                yield (
                    f"{at}.hosts[{number}]",
                    f"{host!r} is not NAMESPACE/HOST (hint: ./{host.strip('/') or '*'})",
                )
    ports = [listener.port.number for listener in found.spec.ingress]
    for index, port in enumerate(ports):
        if not port:
            yield f"$.spec.ingress[{index}].port.number", "is missing"
        elif port in ports[:index]:
            yield f"$.spec.ingress[{index}].port.number", f"{port} is there twice"


def _virtual_service(found: VirtualService) -> Iterator[Problem]:
    spec = found.spec
    if not spec.hosts and any(route.delegate for route in spec.http):
        yield "$.spec.hosts", "is empty: a delegate may not delegate (hint: name hosts)"
    if "*" in spec.hosts and "mesh" in (spec.gateways or ("mesh",)):
        at = f"$.spec.hosts[{spec.hosts.index('*')}]"
        yield at, "is too wide for sidecars: it would take every service (hint: bind it to a Gateway alone)"
    for index, route in enumerate(spec.http):
        yield from _http_route(f"$.spec.http[{index}]", route)
    for index, tls in enumerate(spec.tls):
        yield from _shares(f"$.spec.tls[{index}].route", tls.route)
    for index, tcp in enumerate(spec.tcp):
        yield from _shares(f"$.spec.tcp[{index}].route", tcp.route)


def _http_route(at: str, route: HTTPRoute) -> Iterator[Problem]:
    actions = {
        "route": bool(route.route),
        "redirect": route.redirect is not None,
        "directResponse": route.direct_response is not None,
        "delegate": route.delegate is not None,
    }
    chosen = [name for name, is_set in actions.items() if is_set]
    if len(chosen) != 1:
        yield at, f"does {' and '.join(chosen) or 'nothing'} (hint: exactly one of {', '.join(actions)})"
    yield from _shares(f"{at}.route", route.route)
    for index, match in enumerate(route.match):
        yield from _http_match(f"{at}.match[{index}]", match)
    if route.direct_response is not None and not 100 <= route.direct_response.status <= 599:
        yield f"{at}.directResponse.status", f"is {route.direct_response.status} (hint: 100 to 599)"


def _shares(at: str, shares: Sequence[HTTPRouteDestination | RouteDestination]) -> Iterator[Problem]:
    for index, share in enumerate(shares):
        yield from _destination(f"{at}[{index}].destination", share.destination)
    if len(shares) > 1 and not sum(share.weight for share in shares):
        yield at, "has several destinations whose weights are all 0 (hint: give each its share)"


def _destination(at: str, destination: Destination) -> Iterator[Problem]:
    if not destination.host:
        yield f"{at}.host", "is empty (hint: the name of a service)"
    if destination.host.startswith("*"):
        yield f"{at}.host", "is a wildcard (hint: one service)"


def _http_match(at: str, match: HTTPMatchRequest) -> Iterator[Problem]:
    for name in ("uri", "scheme", "method", "authority"):
        text = getattr(match, name)
        if text is not None:
            yield from _string_match(f"{at}.{name}", text)
    for name in ("headers", "without_headers", "query_params"):
        for key, text in getattr(match, name).items():
            yield from _string_match(f"{at}.{_camel(name)}[{key}]", text, may_be_empty=True)


def _string_match(at: str, match: StringMatch, *, may_be_empty: bool = False) -> Iterator[Problem]:
    ways = [way for way in (match.exact, match.prefix, match.regex) if way is not None]
    if len(ways) > 1 or (not ways and not may_be_empty):
        yield at, "needs exactly one of exact, prefix, regex"
    if match.regex is not None:
        yield from _regex(f"{at}.regex", match.regex)


def _regex(at: str, text: str) -> Iterator[Problem]:
    # RE2 knows neither look-around nor references back; Python's own parser finds the rest.
    if re.search(r"\(\?(?:[=!]|<[=!])|\\[1-9]", text):
        yield at, f"{text!r} uses what RE2 has not: look-around or references back"
        return
    try:
        re.compile(text)
    except re.error as error:
        yield at, f"{text!r} is no regular expression: {error}"


def _destination_rule(found: DestinationRule) -> Iterator[Problem]:
    if not found.spec.host:
        yield "$.spec.host", "is empty (hint: the name of a service)"
    yield from _traffic_policy("$.spec.trafficPolicy", found.spec.traffic_policy)
    seen: set[str] = set()
    for index, subset in enumerate(found.spec.subsets):
        at = f"$.spec.subsets[{index}]"
        if not subset.name:
            yield f"{at}.name", "is empty"
        if subset.name in seen:
            yield f"{at}.name", f"{subset.name!r} stands twice (hint: give each subset a name of its own)"
        seen.add(subset.name)
        yield from _traffic_policy(f"{at}.trafficPolicy", subset.traffic_policy)


def _traffic_policy(at: str, policy: TrafficPolicy | PortTrafficPolicy | None) -> Iterator[Problem]:
    if policy is None:
        return
    if isinstance(policy, TrafficPolicy):
        for index, each in enumerate(policy.port_level_settings):
            here = f"{at}.portLevelSettings[{index}]"
            if each.port is None or not each.port.number:
                yield f"{here}.port.number", "is missing (hint: the port of the service that this is for)"
            yield from _traffic_policy(here, each)
    balancer = policy.load_balancer
    if balancer is not None and balancer.simple not in _BALANCERS:
        hint = ", ".join(sorted(_BALANCERS - {""}))
        yield f"{at}.loadBalancer.simple", f"is {balancer.simple!r} (hint: one of {hint})"
    if policy.tls is not None and policy.tls.mode not in _TLS_MODES:
        yield f"{at}.tls.mode", f"is {policy.tls.mode!r} (hint: one of {', '.join(sorted(_TLS_MODES))})"


def _gateway(found: GatewayConfig) -> Iterator[Problem]:
    for index, server in enumerate(found.spec.servers):
        at = f"$.spec.servers[{index}]"
        if not server.hosts:
            yield f"{at}.hosts", 'is empty (hint: ["*"] lets everybody in)'
        if server.port.protocol.upper() not in _SERVER_PROTOCOLS:
            hint = ", ".join(sorted(_SERVER_PROTOCOLS))
            yield f"{at}.port.protocol", f"is {server.port.protocol!r} (hint: one of {hint})"
        for number, host in enumerate(server.hosts):
            if "*" in host.rpartition("/")[2][1:]:
                yield f"{at}.hosts[{number}]", f"{host!r} has a star that is not its first letter"


def durations(at: str, part: object) -> Iterator[Problem]:
    """What is wrong with the durations anywhere in a part."""
    if isinstance(part, Part):
        for field in msgspec.structs.fields(part):
            value, here = getattr(part, field.name), f"{at}.{field.encode_name}"
            if field.encode_name in _DURATIONS and isinstance(value, str):
                yield from _duration(here, value)
            else:
                yield from durations(here, value)
    elif isinstance(part, tuple):
        for index, each in enumerate(part):
            yield from durations(f"{at}[{index}]", each)


def _duration(at: str, text: str) -> Iterator[Problem]:
    if not text:
        return
    try:
        seconds = duration.parse(text)
    except ValueError as error:
        yield at, str(error)
        return
    if seconds < 0:
        yield at, f"{text} is negative"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
