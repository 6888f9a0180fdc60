"""What the API server refuses of single fields by their schema alone: ranges, words, shapes of texts.

Nothing stands here that the decoder would take (`tests/property/test_definitions_take_what_we_take.py`): the decoder
says more, and better, but only once an object is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.api.described import Struct
from isthmus.api.istio import authorization_policy as authorization
from isthmus.api.istio import destination_rule as rule
from isthmus.api.istio import envoy_filter as patches
from isthmus.api.istio import gateway, load_balancer, proxy_config, sidecar, telemetry, wasm_plugin
from isthmus.api.istio import http_route as http
from isthmus.api.istio import request_authentication as tokens
from isthmus.api.istio import service_entry as entry
from isthmus.api.istio import virtual_service as service
from isthmus.api.istio import workload_group as group
from isthmus.api.istio.destination import Destination
from isthmus.api.istio.destination_rule_problems import MOST_POLICIES
from isthmus.api.istio.gateway_problems import MODES, PROTOCOLS
from isthmus.api.istio.workload_entry import WorkloadEntrySpec

Json = dict[str, Any]

DURATION = r"^([+-]?0|[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ms|us|µs|ns|h|m|s))+)?$"
"""Which texts are durations; empty ones are as if nothing had been written."""

_SAID: Json = {"minLength": 1}
_SOME: Json = {"minItems": 1}
_FIELDS: Json = {"minProperties": 1}
_NAME: Json = {"minLength": 1, "pattern": r"^[-*a-zA-Z0-9_.:%]+$"}
_HOST: Json = _NAME | {"maxLength": 255}
_LABEL_VALUE: Json = {"maxLength": 63, "pattern": r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"}
_LABELS: Json = {"additionalProperties": _LABEL_VALUE}
_HEADER: Json = {"minLength": 1, "pattern": r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"}
_HEADER_OR_PART: Json = {"minLength": 1, "pattern": r"^:?[-!#$%&'*+.^_`|~0-9A-Za-z]+$"}
_PERCENT: Json = {"minimum": 0, "maximum": 100}
_POSITIVE: Json = {"minimum": 0}
_PORT: Json = {"minimum": 1, "maximum": 65535}
_REGION: Json = {"minLength": 1, "pattern": r"^[^/*]+$"}
_ENTRY_PROTOCOL = r"^(?i:HTTP|HTTPS|HTTP2|GRPC|GRPC-WEB|TLS|TCP|MONGO|MYSQL|REDIS|UDP)?$"
_METHODS = ["", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "*"]


def _list_of(item: Json) -> Json:
    return {"items": item}


def _some_of(item: Json) -> Json:
    return {"minItems": 1, "items": item}


def _one_of(words: tuple[str, ...] | frozenset[str]) -> Json:
    return {"enum": sorted(words) if isinstance(words, frozenset) else list(words)}


_TEXT: Json = {"minLength": 1, "maxLength": 4096}
_TEXTS = _some_of(_TEXT)


def _either(*names: str, shape: Json) -> Mapping[str, Json]:
    """The same for lists and for those of what they are not."""
    return {name: shape for each in names for name in (each, f"not{each[0].upper()}{each[1:]}")}


LIMITS: Mapping[Struct, Mapping[str, Json]] = {
    # Requests and connections
    service.VirtualServiceSpec: {"hosts": _list_of(_HOST)},
    service.TLSRoute: {"match": _SOME, "route": _SOME},
    service.TCPRoute: {"route": _SOME},
    service.TLSMatchAttributes: {"sniHosts": _some_of(_HOST), "sourceLabels": _LABELS},
    service.L4MatchAttributes: {"sourceLabels": _LABELS},
    Destination: {"host": _HOST},
    http.HTTPMatchRequest: {"sourceLabels": _LABELS},
    http.HTTPRedirect: {"scheme": _one_of(("", "http", "https"))},
    http.HTTPDirectResponse: {"status": {"minimum": 100, "maximum": 599}},
    http.RegexRewrite: {"match": _SAID},
    http.Delegate: {"name": _SAID},
    http.Delay: {"fixedDelay": _SAID, "percent": _PERCENT},
    http.Abort: {"httpStatus": {"minimum": 200, "maximum": 599}},
    http.HTTPRoute: {"mirrorPercent": _PERCENT, "mirror_percent": _PERCENT},
    http.CorsPolicy: {"allowMethods": _list_of({"enum": _METHODS})},
    # Destinations
    rule.DestinationRuleSpec: {"host": _HOST, "subsets": {"maxItems": MOST_POLICIES}},
    rule.TrafficPolicy: {"portLevelSettings": {"maxItems": MOST_POLICIES}},
    rule.Subset: {
        "name": {"minLength": 1, "pattern": r"^[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$"},
        "labels": _LABELS,
    },
    rule.WorkloadSelector: {"matchLabels": _LABELS},
    rule.TunnelSettings: {"targetHost": _SAID},
    load_balancer.HttpCookie: {"name": _SAID},
    load_balancer.ConsistentHash: {"httpHeaderName": _HEADER_OR_PART, "httpQueryParameterName": _SAID},
    load_balancer.Distribute: {"from": _SAID},
    load_balancer.Failover: {"from": _REGION, "to": _REGION},
    load_balancer.ZoneAwareLbSetting: {"minClusterSize": _POSITIVE},
    load_balancer.Warmup: {"minimumPercent": _PERCENT, "aggression": {"minimum": 1}},
    # Edges
    gateway.GatewaySpec: {"servers": _SOME, "selector": _LABELS},
    gateway.Server: {"hosts": _some_of(_SAID)},
    gateway.GatewayPort: {"protocol": {"maxLength": 8, "pattern": rf"^(?i:{'|'.join(sorted(PROTOCOLS))})$"}},
    gateway.ServerTLSSettings: {"mode": _one_of(MODES)},
    sidecar.IstioEgressListener: {"hosts": _some_of({"pattern": r"^[^/]+/[^/]+$"})},
    sidecar.SidecarSelector: {"labels": _FIELDS | _LABELS},
    # Services that no cluster has
    entry.ServiceEntrySpec: {"hosts": _some_of(_NAME), "ports": _SOME},
    entry.EntryPort: {"number": {"minimum": 1}, "protocol": {"pattern": _ENTRY_PROTOCOL}},
    WorkloadEntrySpec: {
        "labels": _LABELS,
        "weight": {"minimum": 0, "maximum": 2**32 - 1},
        "locality": {"pattern": r"^[^/]*(/[^/]*){0,2}$"},
    },
    group.GroupMetadata: {"labels": _LABELS},
    group.ReadinessProbe: dict.fromkeys(
        ("initialDelaySeconds", "timeoutSeconds", "periodSeconds"), _POSITIVE
    ),
    # Who may call whom
    wasm_plugin.MatchLabelsSelector: {"matchLabels": _LABELS},
    authorization.Rule: {"from": _SOME, "to": _SOME, "when": _SOME},
    authorization.From: {"source": _FIELDS},
    authorization.To: {"operation": _FIELDS},
    authorization.Source: {
        **_either("principals", "requestPrincipals", "namespaces", "trustDomains", shape=_TEXTS),
        **_either("serviceAccounts", "ipBlocks", "remoteIpBlocks", shape=_some_of(_SAID)),
    },
    authorization.Operation: {
        **_either("hosts", "methods", "paths", shape=_TEXTS),
        **_either("ports", shape=_some_of({"pattern": "^[0-9]+$"})),
    },
    authorization.Condition: {"key": _SAID, **_either("values", shape=_TEXTS)},
    tokens.JWTRule: {
        "issuer": _SAID,
        "audiences": _list_of(_SAID),
        "jwksUri": {"pattern": r"^((?i:https?)://.*)?$"},
        "jwks_uri": {"pattern": r"^((?i:https?)://.*)?$"},
        "fromParams": _list_of(_SAID),
        "fromCookies": _list_of(_HEADER),
        "spaceDelimitedClaims": _list_of(_SAID),
    },
    tokens.JWTHeader: {"name": _HEADER},
    tokens.ClaimToHeader: {"header": _HEADER, "claim": _SAID},
    # What is seen, and what is built in
    telemetry.ProviderRef: {"name": _SAID},
    telemetry.LogFilter: {"expression": _SAID},
    proxy_config.ProxyImage: {"imageType": _SAID},
    patches.WorkloadSelector: {"labels": _FIELDS | _LABELS},
    patches.EnvoyConfigObjectPatch: {"applyTo": _one_of(patches.APPLY_TO)},
    patches.EnvoyConfigObjectMatch: {"context": _one_of(patches.CONTEXTS)},
    patches.RouteMatch: {"action": _one_of(patches.ROUTE_ACTIONS)},
    patches.Patch: {
        "operation": _one_of(patches.OPERATIONS),
        "filterClass": _one_of(patches.FILTER_CLASSES),
    },
    wasm_plugin.WasmPluginSpec: {
        "url": _SAID,
        "sha256": {"pattern": "^([0-9a-f]{64})?$"},
        "phase": _one_of(wasm_plugin.PHASES),
        "failStrategy": _one_of(wasm_plugin.FAIL_STRATEGIES),
        "imagePullPolicy": _one_of(wasm_plugin.PULL_POLICIES),
        "type": _one_of(wasm_plugin.PLUGIN_TYPES),
    },
    wasm_plugin.TrafficSelector: {"mode": _one_of(wasm_plugin.MODES)},
    wasm_plugin.PortSelector: {"number": _PORT},
    wasm_plugin.EnvVar: {"name": _SAID, "valueFrom": _one_of(wasm_plugin.ENV_SOURCES)},
}
"""By part and field, what its schema says beside its type."""

NEEDED: Mapping[Struct, tuple[str, ...]] = {
    service.TLSRoute: ("route",),
    service.TCPRoute: ("route",),
    http.RegexRewrite: ("match",),
    http.Delay: ("fixedDelay",),
    load_balancer.Failover: ("to",),
    gateway.GatewaySpec: ("servers",),
    gateway.Server: ("hosts",),
    sidecar.SidecarSelector: ("labels",),
    entry.ServiceEntrySpec: ("ports",),
    authorization.From: ("source",),
    authorization.To: ("operation",),
    authorization.Condition: ("key",),
    telemetry.LogFilter: ("expression",),
    proxy_config.ProxyImage: ("imageType",),
    patches.WorkloadSelector: ("labels",),
    patches.EnvoyConfigObjectPatch: ("applyTo", "patch"),
    patches.Patch: ("operation",),
    wasm_plugin.WasmPluginSpec: ("url",),
    wasm_plugin.PortSelector: ("number",),
    wasm_plugin.EnvVar: ("name",),
}
"""By part, the fields that have a default, and yet must be there."""
