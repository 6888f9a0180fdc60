"""What the API server refuses of parts whose fields do not go together: rules in CEL, `x-kubernetes-validations`.

Each says of one part what the decoder says as well, so that `kubectl apply` fails where Pilot would tell a finding.
The API server counts beforehand what a rule could cost it at the most. A part in a list without a limit may occur a
million times, so that rules of such parts are short, and some things are left to the decoder. Source: Kubernetes,
"Validation rules" of CustomResourceDefinitions, and "Resource use by validation functions" there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import inspect

from isthmus.api.described import Struct
from isthmus.api.istio import authorization_policy as authorization
from isthmus.api.istio import destination_rule as rule
from isthmus.api.istio import envoy_filter as patches
from isthmus.api.istio import gateway, load_balancer, proxy_config, sidecar, telemetry, wasm_plugin
from isthmus.api.istio import http_route as http
from isthmus.api.istio import peer_authentication as peers
from isthmus.api.istio import request_authentication as tokens
from isthmus.api.istio import service_entry as entry
from isthmus.api.istio import virtual_service as service
from isthmus.api.istio import workload_group as group
from isthmus.api.istio.destination import Destination
from isthmus.api.istio.workload_entry import WorkloadEntrySpec


class Rule(NamedTuple):
    """What must hold for a part, which it calls `self`."""

    rule: str
    message: str


def said(of: Struct, name: str, part: str = "self") -> str:
    """An expression that is true where `part`, one of `of`, says something in the field called `name`."""
    field = next(each for each in msgspec.structs.fields(of) if each.encode_name == name)
    there = f"has({part}.{name})"
    match inspect.type_info(field.type):
        case inspect.StrType() | inspect.Metadata(type=inspect.StrType()):
            return f'{there} && {part}.{name} != ""'
        case inspect.VarTupleType() | inspect.DictType():
            return f"{there} && size({part}.{name}) > 0"
        case inspect.BoolType():
            return f"{there} && {part}.{name}"
        case inspect.IntType() | inspect.Metadata(type=inspect.IntType()):
            return f"{there} && {part}.{name} != 0"
    return there


def _one(of: Struct, *names: str) -> Rule:
    return Rule(_exactly_one([said(of, name) for name in names]), f"needs exactly one of {', '.join(names)}")


def _exactly_one(claims: Sequence[str]) -> str:
    """One claim is true and the others are not: a choice, of which only the dearer branch is counted."""
    first, *others = claims
    if len(others) == 1:
        return f"({first}) != ({others[0]})"
    return f"({first}) ? !({' || '.join(others)}) : ({_exactly_one(others)})"


def _apart(of: Struct, one: str, other: str) -> Rule:
    return Rule(
        f"!({said(of, one)} && {said(of, other)})", f"{one} stands beside {other} (hint: one of the two)"
    )


def _port_of(part: str, field: str = "port", hint: str = "1 to 65535") -> Rule:
    has = f"has({part}.{field}.number) && {part}.{field}.number > 0"
    return Rule(
        f"!has({part}.{field}) || {has}", f"{field}.number is missing (hint: {hint}, or leave {field} out)"
    )


_TARGETS = Rule(
    "!has(self.selector) || !(has(self.targetRef) || has(self.targetRefs) && size(self.targetRefs) > 0)",
    "targetRefs cannot stand beside selector (hint: leave one of them out)",
)
_SELECTS = Rule(
    "!has(self.selector) || has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0",
    "selector.matchLabels is empty (hint: leave the selector out for the whole namespace)",
)


def _shown(how: str) -> str:
    """Whether a server's `tls` is of one of the modes that show a certificate, and what it says of which."""
    of = gateway.ServerTLSSettings
    fields = ("credentialName", "credentialNames", "tlsCertificates", "serverCertificate")
    any_of = " || ".join(said(of, name, "self.tls") for name in fields)
    return f"!(has(self.tls) && has(self.tls.mode) && {how}) || ({any_of})"


_SHOWING = 'self.tls.mode in ["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"]'
_ENCRYPTED = "self.port.protocol.matches('^(?i:HTTPS|TLS)$')"
_HASHED = ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName")
_TLS = rule.ClientTLSSettings
_FILES = " || ".join(
    f"({said(_TLS, each)})" for each in ("clientCertificate", "privateKey", "caCertificates")
)

RULES: Mapping[Struct, tuple[Rule, ...]] = {
    # Requests and connections
    service.VirtualServiceSpec: (
        Rule(
            " || ".join(said(service.VirtualServiceSpec, each) for each in ("hosts", "http")),
            "is for nobody (hint: name hosts, or of a delegate http)",
        ),
        Rule(
            f"{said(service.VirtualServiceSpec, 'hosts')} || "
            + " && ".join(
                f"!({said(service.VirtualServiceSpec, each)})" for each in ("tls", "tcp", "gateways")
            ),
            "without hosts it is a delegate, which has http alone (hint: name hosts)",
        ),
    ),
    http.HTTPRoute: (
        _one(http.HTTPRoute, "route", "redirect", "directResponse", "delegate"),
        Rule(
            "!(has(self.redirect) || has(self.directResponse)) || !(has(self.rewrite) || has(self.fault))",
            "rewrite and fault stand beside an answer, which sends nothing on (hint: leave them out)",
        ),
        _apart(http.HTTPRoute, "mirror", "mirrors"),
    ),
    http.StringMatch: (
        Rule(
            "has(self.exact) ? !(has(self.prefix) || has(self.regex)) : !(has(self.prefix) && has(self.regex))",
            "needs exactly one of exact, prefix, regex",
        ),
    ),
    http.HTTPRedirect: (
        _apart(http.HTTPRedirect, "uri", "prefixRewrite"),
        _apart(http.HTTPRedirect, "port", "derivePort"),
    ),
    http.HTTPRewrite: (_apart(http.HTTPRewrite, "uri", "uriRegexRewrite"),),
    http.HTTPFaultInjection: (
        Rule("has(self.delay) || has(self.abort)", "injects nothing (hint: delay or abort)"),
    ),
    http.Abort: (_one(http.Abort, "httpStatus", "grpcStatus", "http2Error"),),
    Destination: (_port_of("self"),),
    # Destinations
    load_balancer.LoadBalancerSettings: (
        _apart(load_balancer.LoadBalancerSettings, "simple", "consistentHash"),
        _apart(load_balancer.LoadBalancerSettings, "localityLbSetting", "zoneAwareLbSetting"),
    ),
    load_balancer.ConsistentHash: (
        Rule(
            _exactly_one([f"has(self.{each})" for each in _HASHED]),
            f"needs exactly one of {', '.join(_HASHED)}",
        ),
        _apart(load_balancer.ConsistentHash, "ringHash", "maglev"),
    ),
    load_balancer.LocalityLbSetting: (
        _apart(load_balancer.LocalityLbSetting, "distribute", "failover"),
        _apart(load_balancer.LocalityLbSetting, "distribute", "failoverPriority"),
    ),
    rule.ClientTLSSettings: (
        Rule(
            f'!has(self.mode) || self.mode != "MUTUAL" || {said(_TLS, "credentialName")} || '
            f"{said(_TLS, 'clientCertificate')} && {said(_TLS, 'privateKey')}",
            "mode MUTUAL needs clientCertificate and privateKey (hint: files beside Envoy, or credentialName)",
        ),
        Rule(
            f'!has(self.mode) || self.mode != "ISTIO_MUTUAL" || !({_FILES})',
            "ISTIO_MUTUAL has certificates of its own (hint: leave files out)",
        ),
        Rule(
            f"!({said(_TLS, 'credentialName')}) || !({_FILES})",
            "credentialName stands beside files (hint: one of the two)",
        ),
    ),
    rule.HttpSettings: (
        Rule(
            f"!({said(rule.HttpSettings, 'useClientProtocol')} && has(self.h2UpgradePolicy) && "
            'self.h2UpgradePolicy == "UPGRADE")',
            "useClientProtocol stands beside h2UpgradePolicy UPGRADE (hint: one of the two)",
        ),
    ),
    rule.OutlierDetection: (
        Rule(
            "!(has(self.consecutiveLocalOriginFailures) && self.consecutiveLocalOriginFailures > 0) || "
            f"{said(rule.OutlierDetection, 'splitExternalLocalOriginErrors')}",
            "consecutiveLocalOriginFailures counts only what is told apart "
            "(hint: splitExternalLocalOriginErrors: true)",
        ),
    ),
    rule.TrafficPolicy: (_apart(rule.TrafficPolicy, "tunnel", "proxyProtocol"),),
    rule.PortTrafficPolicy: (
        Rule(
            "has(self.port) && has(self.port.number) && self.port.number > 0",
            "port.number is missing (hint: the port of the service that this is for)",
        ),
    ),
    # Edges
    gateway.Server: (
        Rule(
            f"has(self.tls) || !{_ENCRYPTED}",
            "tls is missing: the protocol needs it (hint: mode: PASSTHROUGH, or mode: SIMPLE with credentialName)",
        ),
        Rule(
            f"!(has(self.tls) && has(self.tls.mode) && {_SHOWING}) || {_ENCRYPTED}",
            "tls has no effect, since the protocol is not encrypted (hint: protocol: HTTPS or TLS)",
        ),
        Rule(_shown(_SHOWING), "tls shows a certificate (hint: credentialName: the name of a Secret)"),
        Rule(
            f"!(has(self.tls) && has(self.tls.mode) && {_SHOWING} && "
            f"{said(gateway.ServerTLSSettings, 'credentialName', 'self.tls')} && "
            f"{said(gateway.ServerTLSSettings, 'credentialNames', 'self.tls')})",
            "tls.credentialNames cannot stand beside credentialName (hint: leave one of them out)",
        ),
    ),
    sidecar.IstioIngressListener: (
        Rule("has(self.port.number) && self.port.number > 0", "port.number is missing"),
        Rule(
            '!has(self.captureMode) || self.captureMode != "NONE" || '
            + said(sidecar.IstioIngressListener, "defaultEndpoint"),
            "defaultEndpoint is missing: calls are not captured (hint: 127.0.0.1:8080)",
        ),
    ),
    sidecar.SidecarOutboundTrafficPolicy: (
        Rule(
            '!has(self.egressProxy) || has(self.mode) && self.mode == "ALLOW_ANY"',
            "egressProxy would get nothing: unknown destinations are refused (hint: mode: ALLOW_ANY)",
        ),
        Rule(
            "!has(self.egressProxy) || has(self.egressProxy.port)",
            "egressProxy.port.number is missing (hint: the port of that service)",
        ),
    ),
    # Services that no cluster has
    entry.ServiceEntrySpec: (
        _apart(entry.ServiceEntrySpec, "endpoints", "workloadSelector"),
        Rule(
            f"!({said(entry.ServiceEntrySpec, 'endpoints')}) || has(self.resolution) && "
            'self.resolution != "NONE"',
            "resolution is NONE beside endpoints (hint: STATIC for addresses, DNS for names)",
        ),
        Rule(
            '!has(self.resolution) || self.resolution != "DNS_ROUND_ROBIN" || !has(self.endpoints) || '
            "size(self.endpoints) <= 1",
            "DNS_ROUND_ROBIN takes one endpoint at the most (hint: DNS takes several)",
        ),
        Rule(
            '!has(self.resolution) || self.resolution != "DYNAMIC_DNS"',
            "DYNAMIC_DNS is not built into Isthmus (hint: NONE lets each call go to the address it was meant for)",
        ),
    ),
    group.WorkloadGroupSpec: (
        Rule(
            f"!({said(WorkloadEntrySpec, 'address', 'self.template')})",
            "template.address is set, though entries have one each (hint: leave it out)",
        ),
    ),
    group.ReadinessProbe: (_one(group.ReadinessProbe, "httpGet", "tcpSocket", "exec", "grpc"),),
    # Who may call whom
    peers.PeerAuthenticationSpec: (
        Rule(
            "!(has(self.portLevelMtls) && size(self.portLevelMtls) > 0) || has(self.selector) && "
            "has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0",
            "portLevelMtls stands without a selector, and workloads differ in their ports "
            "(hint: selector.matchLabels)",
        ),
        Rule(
            "!has(self.portLevelMtls) || self.portLevelMtls.all(port, 0 < int(port) && int(port) < 65536)",
            "portLevelMtls has what is no port (hint: 1 to 65535)",
        ),
    ),
    authorization.AuthorizationPolicySpec: (
        _TARGETS,
        _SELECTS,
        Rule(
            '(has(self.action) && self.action == "CUSTOM") == has(self.provider)',
            "provider and action CUSTOM go together (hint: provider.name is an extensionProvider of MeshConfig)",
        ),
    ),
    authorization.Source: (
        Rule(
            "!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || "
            "has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))",
            "serviceAccounts cannot stand beside principals or namespaces (hint: a source of their own)",
        ),
    ),
    authorization.Condition: (
        Rule(
            "has(self.values) || has(self.notValues)", "says nothing of the key (hint: values, or notValues)"
        ),
    ),
    tokens.RequestAuthenticationSpec: (_TARGETS,),
    tokens.JWTRule: (
        _apart(tokens.JWTRule, "jwksUri", "jwks_uri"),
        _apart(tokens.JWTRule, "jwksUri", "jwks"),
    ),
    # What is seen, and what is built in
    telemetry.TelemetrySpec: (_TARGETS, _SELECTS),
    telemetry.MetricSelector: (_apart(telemetry.MetricSelector, "metric", "customMetric"),),
    telemetry.TagOverride: (
        Rule(
            f'(has(self.operation) && self.operation == "REMOVE") != ({said(telemetry.TagOverride, "value")})',
            "value goes with operation UPSERT alone (hint: an expression, or operation: REMOVE)",
        ),
    ),
    proxy_config.CustomTag: (_one(proxy_config.CustomTag, "literal", "environment", "header", "formatter"),),
    proxy_config.ProxyConfigSpec: (_SELECTS,),
    patches.EnvoyFilterSpec: (_apart(patches.EnvoyFilterSpec, "workloadSelector", "targetRefs"),),
    patches.Patch: (
        Rule('has(self.value) || self.operation == "REMOVE"', "value is missing (hint: what to put in)"),
    ),
    wasm_plugin.WasmPluginSpec: (_TARGETS,),
    wasm_plugin.EnvVar: (
        Rule(
            f'!(has(self.valueFrom) && self.valueFrom == "HOST" && {said(wasm_plugin.EnvVar, "value")})',
            "value is the host's own (hint: leave it out, or valueFrom: INLINE)",
        ),
    ),
}
"""By part, what must hold for it."""
