from __future__ import annotations

import msgspec
import pytest

from isthmus.api.core.label_selector import LabelSelector, Requirement
from isthmus.api.crd import definition
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.gateway_api.validate import problems

BY_NAME = {kind.name: kind for kind in KINDS}
BACKEND = {"name": "a", "port": 80}


def wrong(kind, spec):
    """The paths at which a spec is wrong, with what is said there."""
    meta = {"name": "x", "namespace": "y"}
    return dict(problems(msgspec.convert({"metadata": meta, "spec": spec}, BY_NAME[kind].type)))


def one(kind, spec, path, words):
    found = wrong(kind, spec)
    assert list(found) == [path], found
    assert words in found[path]


def http(**rule):
    return {"rules": [{"backendRefs": [BACKEND], **rule}]}


@pytest.mark.parametrize(
    ("match", "path"),
    [
        ({"path": {"type": "RegularExpression", "value": "/a(?!b)"}}, "path.value"),
        ({"headers": [{"type": "RegularExpression", "name": "x", "value": "a++"}]}, "headers[0].value"),
        ({"queryParams": [{"type": "RegularExpression", "name": "x", "value": "("}]}, "queryParams[0].value"),
    ],
)
def test_what_envoy_takes_for_no_expression_is_told_of_the_route(match, path):
    one("HTTPRoute", http(matches=[match]), f"$.spec.rules[0].matches[0].{path}", "regular expression of RE2")


def test_each_kind_has_a_definition_that_kubernetes_takes():
    for kind in KINDS:
        spec = definition(kind)["spec"]
        assert spec["group"] == "gateway.networking.k8s.io"
        assert spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_a_field_that_is_not_there_is_told_with_its_place():
    raw = {"metadata": {"name": "a"}, "spec": {"rules": [{"backendRef": []}]}}
    with pytest.raises(InvalidConfig) as told:
        decode(BY_NAME["HTTPRoute"], raw)
    assert told.value.path == "$.spec.rules[0].backendRef"
    assert "did you mean backendRefs" in told.value.message


def test_a_route_that_says_nothing_has_the_defaults_of_the_specification():
    found = msgspec.convert({"spec": {"parentRefs": [{"name": "g"}]}}, BY_NAME["HTTPRoute"].type).spec
    assert (found.parent_refs[0].group, found.parent_refs[0].kind) == ("gateway.networking.k8s.io", "Gateway")
    assert len(found.rules) == 1
    match = msgspec.convert({"rules": [{"matches": [{}]}]}, type(found)).rules[0].matches[0]
    assert (match.path.type, match.path.value) == ("PathPrefix", "/")


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({"hostnames": ["A_b"]}, "$.spec.hostnames[0]", "a host such as"),
        ({"hostnames": ["a.*.com"]}, "$.spec.hostnames[0]", "a host such as"),
        ({"hostnames": ["10.0.0.1"]}, "$.spec.hostnames[0]", "is an address"),
        ({"hostnames": [f"h{n}.com" for n in range(17)]}, "$.spec.hostnames", "16 at the most"),
        ({"parentRefs": [{"name": "g"}, {"name": "g", "sectionName": "a"}]}, "$.spec.parentRefs[0]", "twice"),
        ({"parentRefs": [{"name": "g", "namespace": "A"}]}, "$.spec.parentRefs[0].namespace", "lower case"),
        ({"rules": [{"name": "a"}, {"name": "a"}]}, "$.spec.rules[1].name", "stands twice"),
        ({"rules": [{"matches": [{}] * 64}] * 3}, "$.spec.rules", "192 matches"),
        (
            http(matches=[{"path": {"value": "a"}}]),
            "$.spec.rules[0].matches[0].path.value",
            "begin with a slash",
        ),
        (http(matches=[{"path": {"value": "/a//b"}}]), "$.spec.rules[0].matches[0].path.value", "'//'"),
        (http(matches=[{"path": {"value": "/a/.."}}]), "$.spec.rules[0].matches[0].path.value", "'/..'"),
        (http(matches=[{"path": {"value": "/ä"}}]), "$.spec.rules[0].matches[0].path.value", "characters"),
        (
            http(matches=[{"headers": [{"name": ":method", "value": "x"}]}]),
            "$.spec.rules[0].matches[0].headers[0].name",
            "is no name",
        ),
        (http(timeouts={"request": "1.5s"}), "$.spec.rules[0].timeouts.request", "whole numbers"),
        (
            http(timeouts={"request": "1s", "backendRequest": "2s"}),
            "$.spec.rules[0].timeouts.backendRequest",
            "longer than the whole",
        ),
        (http(filters=[{"type": "CORS"}]), "$.spec.rules[0].filters[0]", "gives no settings"),
        (
            http(
                filters=[
                    {
                        "type": "ExtensionRef",
                        "cors": {},
                        "extensionRef": {"group": "", "kind": "A", "name": "b"},
                    }
                ]
            ),
            "$.spec.rules[0].filters[0].type",
            "those of CORS",
        ),
        (http(filters=[{"type": "CORS", "cors": {}}] * 2), "$.spec.rules[0].filters[1]", "stands twice"),
        (
            http(filters=[{"type": "RequestRedirect", "requestRedirect": {}}]),
            "$.spec.rules[0]",
            "both a RequestRedirect and backendRefs",
        ),
        (
            http(filters=[{"type": "URLRewrite", "urlRewrite": {"hostname": "*.a.com"}}]),
            "$.spec.rules[0].filters[0].urlRewrite.hostname",
            "wildcard",
        ),
        (
            http(filters=[{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath"}}}]),
            "$.spec.rules[0].filters[0].urlRewrite.path",
            "gives no replaceFullPath",
        ),
        (
            http(
                matches=[{"path": {"type": "Exact", "value": "/a"}}],
                filters=[
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}},
                    }
                ],
            ),
            "$.spec.rules[0].filters[0].urlRewrite.path",
            "exactly one match",
        ),
        (
            http(filters=[{"type": "CORS", "cors": {"allowOrigins": ["*", "https://a.com"]}}]),
            "$.spec.rules[0].filters[0].cors.allowOrigins",
            "beside others",
        ),
        (
            http(
                filters=[
                    {
                        "type": "RequestMirror",
                        "requestMirror": {"backendRef": BACKEND, "percent": 1, "fraction": {"numerator": 1}},
                    }
                ]
            ),
            "$.spec.rules[0].filters[0].requestMirror",
            "one of both",
        ),
        (
            http(
                filters=[
                    {
                        "type": "RequestMirror",
                        "requestMirror": {"backendRef": BACKEND, "fraction": {"numerator": 101}},
                    }
                ]
            ),
            "$.spec.rules[0].filters[0].requestMirror.fraction",
            "more than the whole",
        ),
    ],
)
def test_a_wrong_http_route_is_told_where_and_why(spec, path, words):
    one("HTTPRoute", spec, path, words)


def test_values_that_are_not_known_are_for_the_status_to_tell():
    rule = http(
        matches=[{"method": "FETCH", "path": {"type": "Glob", "value": "*"}}], filters=[{"type": "Magic"}]
    )
    assert not wrong("HTTPRoute", rule)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ({}, "$.spec.rules[0].matches[0].method", "neither service nor method"),
        ({"service": "a/b"}, "$.spec.rules[0].matches[0].method.service", "is no service"),
        ({"method": "a.b"}, "$.spec.rules[0].matches[0].method.method", "is no method"),
    ],
)
def test_a_wrong_grpc_route_is_told(method, path, words):
    one("GRPCRoute", {"rules": [{"matches": [{"method": method}]}]}, path, words)


def test_a_wrong_route_of_connections_is_told():
    one("TCPRoute", {"rules": []}, "$.spec.rules", "is empty")
    one("TCPRoute", {"rules": [{"backendRefs": []}]}, "$.spec.rules[0].backendRefs", "is empty")
    one("TLSRoute", {"rules": [{"backendRefs": [BACKEND]}]}, "$.spec.hostnames", "is empty")


def gateway(*listeners, **more):
    return {"gatewayClassName": "istio", "listeners": list(listeners), **more}


def listener(**more):
    return {"name": "a", "port": 80, "protocol": "HTTP", **more}


@pytest.mark.parametrize(
    ("found", "path", "words"),
    [
        (listener(name=""), "$.spec.listeners[0].name", "is empty"),
        (listener(tls={"mode": "Passthrough"}), "$.spec.listeners[0].tls", "is not for HTTP"),
        (listener(protocol="TCP", hostname="a.com"), "$.spec.listeners[0].hostname", "is not for TCP"),
        (listener(protocol="HTTPS"), "$.spec.listeners[0].tls", "is missing"),
        (
            listener(protocol="HTTPS", tls={"mode": "Passthrough"}),
            "$.spec.listeners[0].tls.mode",
            "protocol TLS",
        ),
        (listener(protocol="TLS", tls={}), "$.spec.listeners[0].tls.certificateRefs", "is empty"),
        (
            listener(allowedRoutes={"namespaces": {"from": "Some"}}),
            "$.spec.listeners[0].allowedRoutes.namespaces.from",
            "All, Selector",
        ),
        (
            listener(allowedRoutes={"namespaces": {"from": "Selector"}}),
            "$.spec.listeners[0].allowedRoutes.namespaces.selector",
            "is missing",
        ),
    ],
)
def test_a_wrong_listener_is_told_where_and_why(found, path, words):
    one("Gateway", gateway(found), path, words)


def test_a_wrong_gateway_is_told_where_and_why():
    one("Gateway", gateway(), "$.spec.listeners", "is empty")
    one("Gateway", gateway(listener(), listener(port=81)), "$.spec.listeners[1].name", "stands twice")
    one("Gateway", gateway(listener(), listener(name="b")), "$.spec.listeners[1]", "HTTP on 80 for all hosts")
    bad, twice = [{"value": "x"}], [{"value": "::1"}] * 2
    one("Gateway", gateway(listener(), addresses=bad), "$.spec.addresses[0].value", "is no address")
    one("Gateway", gateway(listener(), addresses=twice), "$.spec.addresses[1].value", "stands twice")


def test_all_that_is_wrong_is_told_at_once():
    found = gateway(listener(name="", hostname="_"), listener(protocol="TCP", hostname="a.com"))
    assert len(wrong("Gateway", found)) == 3


TARGET = {"group": "", "kind": "Service", "name": "a"}
CA = [{"group": "", "kind": "ConfigMap", "name": "ca"}]


@pytest.mark.parametrize(
    ("targets", "validation", "path", "words"),
    [
        ([], {"wellKnownCACertificates": "System"}, "$.spec.targetRefs", "is empty"),
        ([TARGET], {}, "$.spec.validation", "neither"),
        (
            [TARGET],
            {"wellKnownCACertificates": "System", "caCertificateRefs": CA},
            "$.spec.validation",
            "both",
        ),
        (
            [TARGET],
            {"caCertificateRefs": CA, "hostname": "*.a.com"},
            "$.spec.validation.hostname",
            "one name",
        ),
        (
            [TARGET],
            {"caCertificateRefs": CA, "subjectAltNames": [{"type": "URI"}]},
            "$.spec.validation.subjectAltNames[0]",
            "gives none",
        ),
        (
            [TARGET, TARGET | {"sectionName": "x"}],
            {"caCertificateRefs": CA},
            "$.spec.targetRefs[0].sectionName",
            "target twice",
        ),
    ],
)
def test_a_wrong_backend_tls_policy_is_told(targets, validation, path, words):
    spec = {"targetRefs": targets, "validation": {"hostname": "a.com", **validation}}
    one("BackendTLSPolicy", spec, path, words)


def test_a_grant_says_from_whom_and_to_what():
    assert set(wrong("ReferenceGrant", {"from": [], "to": []})) == {"$.spec.from", "$.spec.to"}


def test_a_controller_is_named_by_a_domain_and_a_path():
    one("GatewayClass", {"controllerName": "istio"}, "$.spec.controllerName", "a slash")


@pytest.mark.parametrize(
    ("operator", "values", "selected"),
    [
        ("In", ("1",), {"a1"}),
        ("NotIn", ("1",), {"a2", "none"}),
        ("Exists", (), {"a1", "a2"}),
        ("DoesNotExist", (), {"none"}),
        ("Guess", (), set()),
    ],
)
def test_a_selector_selects_as_kubernetes_does(operator, values, selected):
    labels = {"a1": {"a": "1"}, "a2": {"a": "2"}, "none": {}}
    selector = LabelSelector(match_expressions=(Requirement(key="a", operator=operator, values=values),))
    assert {name for name, each in labels.items() if selector.selects(each)} == selected
