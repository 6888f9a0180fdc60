from __future__ import annotations

import random

import msgspec
import pytest

from fakes.gateway_api import derived, outside, result_of
from isthmus.api.core.ingress import Ingress, IngressClass, problems
from isthmus.api.resource import Meta, Ref
from isthmus.api.validate import problems as istio_problems
from isthmus.model.from_ingress.convert import CONTROLLER


def to(name="a", port=80):
    return {"service": {"name": name, "port": {"number": port} if isinstance(port, int) else {"name": port}}}


def path(text="/", kind="Prefix", backend=None):
    return {"path": text, "pathType": kind, "backend": backend or to()}


def host(*paths, name=""):
    return {"host": name, "http": {"paths": list(paths)}}


def ingress(*rules, name="i", created="2026-01-01T00:00:00Z", annotations=None, **spec):
    meta = {
        "name": name,
        "namespace": "default",
        "creationTimestamp": created,
        "annotations": annotations or {},
    }
    body = {"ingressClassName": "istio", "rules": list(rules), **spec}
    found = msgspec.convert({"metadata": meta, "spec": body}, Ingress)
    assert not list(problems(found))
    return found


REACHED = outside("192.0.2.1")
GATEWAY = msgspec.structs.replace(
    REACHED, metadata=Meta(name="istio-ingressgateway", namespace="istio-system")
)


def converted(*found, classes=(), **more):
    usual = {"own_services": {("istio-system", "istio-ingressgateway"): GATEWAY}}
    result = result_of(derived([*found, *classes], **usual | more))
    for each in (*result.gateways, *result.virtual_services):
        assert not list(istio_problems(each))
    return result


def routes(result, name="*"):
    (found,) = [each for each in result.virtual_services if name in each.spec.hosts]
    return found.spec.http


def uris(found):
    return ["=" + m.uri.exact if m.uri.exact else "^" + m.uri.prefix for each in found for m in each.match]


def test_requests_go_to_the_service_that_a_rule_names():
    result = converted(ingress(host(path("/shop", backend=to("b", "tcp")), name="x.com")))
    (gateway,) = result.gateways
    assert gateway.spec.selector == {"istio": "ingressgateway"}
    assert [(each.port.number, each.hosts) for each in gateway.spec.servers] == [(80, ("*",))]
    (rule,) = routes(result, "x.com")
    assert uris([rule]) == ["=/shop", "^/shop/"]
    assert rule.route[0].destination.host == "b.default.svc.cluster.local"
    assert rule.route[0].destination.port.number == 9000
    assert rule.name == "default.i.0.0"
    assert result.virtual_services[0].spec.gateways == (f"istio-system/{gateway.metadata.name}",)
    assert result.statuses[Ref("Ingress", "default", "i")].load_balancer.ingress[0].ip == "192.0.2.1"


@pytest.mark.parametrize(
    ("kind", "text", "conditions"),
    [
        ("Exact", "/a/", ["=/a/"]),
        ("Prefix", "/", ["^/"]),
        ("Prefix", "/a/", ["=/a", "^/a/"]),
        ("ImplementationSpecific", "", ["^/"]),
        ("ImplementationSpecific", "/a", ["=/a"]),
        ("ImplementationSpecific", "/a/*", ["=/a", "^/a/"]),
        ("ImplementationSpecific", "/a.*", ["^/a"]),
    ],
)
def test_a_path_means_what_its_type_says(kind, text, conditions):
    assert uris(routes(converted(ingress(host(path(text, kind)))))) == conditions


def test_the_exact_then_the_longer_path_counts_then_the_older_ingress():
    young = ingress(host(path("/a/b"), path("/a", "Exact")), name="young", created="2026-01-02T00:00:00Z")
    old = ingress(host(path("/a"), path("/a/b")), name="old")
    found = [each.name.removeprefix("default.") for each in routes(converted(young, old))]
    assert found == ["young.0.1", "old.0.1", "young.0.0", "old.0.0"]


def test_rules_for_wider_hosts_stand_behind_and_the_default_last():
    found = ingress(
        host(path("/very/long"), name=""),
        host(path("/long"), name="*.x.com"),
        host(path("/"), name="a.x.com"),
        defaultBackend=to("b"),
    )
    result = converted(found)
    names = {
        each.spec.hosts[0]: [one.name.removeprefix("default.i.") for one in each.spec.http]
        for each in result.virtual_services
    }
    assert names == {
        "a.x.com": ["2.0", "1.0", "0.0", "default"],
        "*.x.com": ["1.0", "0.0", "default"],
        "*": ["0.0", "default"],
    }


def test_a_wildcard_and_a_host_that_is_spelt_like_it_keep_rules_of_their_own():
    result = converted(ingress(host(path(), name="*.x.com"), host(path(), name="any.x.com")))
    assert sorted(each.spec.hosts[0] for each in result.virtual_services) == ["*.x.com", "any.x.com"]


def test_a_wildcard_stands_for_one_label():
    (match, _) = routes(converted(ingress(host(path("/a"), name="*.x.com"))), "*.x.com")[0].match
    assert match.authority.regex == r"[^.]+\.x\.com(:[0-9]+)?"


def test_of_two_default_backends_the_older_counts_and_the_other_is_told():
    young = ingress(name="young", created="2026-01-02T00:00:00Z", defaultBackend=to("b"))
    result = converted(young, ingress(defaultBackend=to("a")))
    assert routes(result)[0].route[0].destination.host == "a.default.svc.cluster.local"
    (finding,) = result.findings
    assert finding.ref == Ref("Ingress", "default", "young")


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (to("gone"), "no Service default/gone"),
        (to("a", 81), "has no port 81"),
        (to("a", "grpc"), "has no port grpc"),
        ({"resource": {"kind": "Bucket", "name": "x"}}, "Bucket takes no requests"),
    ],
)
def test_a_wrong_backend_refuses_and_is_told(backend, words):
    result = converted(ingress(host(path(backend=backend))))
    assert routes(result)[0].direct_response.status == 503
    (finding,) = result.findings
    assert finding.path == "$.spec.rules[0].http.paths[0].backend"
    assert words in finding.message


def test_a_secret_makes_hosts_secure():
    found = ingress(host(path(), name="x.com"), tls=[{"hosts": ["x.com", "y.com"], "secretName": "cert"}])
    server = converted(found).gateways[0].spec.servers[1]
    assert (server.port.number, server.port.protocol, server.hosts) == (443, "HTTPS", ("x.com", "y.com"))
    assert (server.tls.mode, server.tls.credential_name) == ("SIMPLE", "kubernetes-gateway://default/cert")


def test_a_secret_that_is_not_there_and_a_host_that_another_has_are_told():
    mine = ingress(host(path()), tls=[{"hosts": ["x.com"], "secretName": "cert"}])
    tls = [{"hosts": ["x.com"], "secretName": "cert"}, {"secretName": "gone"}]
    other = ingress(host(path()), name="z", tls=tls)
    result = converted(mine, other)
    assert len(result.gateways[0].spec.servers) == 2
    assert {each.path for each in result.findings} == {"$.spec.tls[0].hosts", "$.spec.tls[1].secretName"}


def class_(name, controller=CONTROLLER, default=""):
    annotations = {"ingressclass.kubernetes.io/is-default-class": default} if default else {}
    meta = {"name": name, "annotations": annotations}
    return msgspec.convert({"metadata": meta, "spec": {"controller": controller}}, IngressClass)


@pytest.mark.parametrize(
    ("named", "annotations", "classes", "ours"),
    [
        ("istio", {}, (), True),
        ("nginx", {}, (), False),
        (None, {"kubernetes.io/ingress.class": "istio"}, (), True),
        ("edge", {}, (class_("edge"),), True),
        ("istio", {}, (class_("istio", "example.com/other"),), False),
        (None, {}, (), False),
        (None, {}, (class_("edge", default="true"),), True),
        (None, {}, (class_("edge", "example.com/other", default="true"),), False),
    ],
)
def test_an_ingress_is_ours_by_its_class(named, annotations, classes, ours):
    found = ingress(host(path()), ingressClassName=named, annotations=annotations)
    assert bool(converted(found, classes=classes).virtual_services) is ours


@pytest.mark.parametrize(("controller", "told"), [(CONTROLLER, True), ("example.com/other", False)])
def test_parameters_of_our_classes_are_told_to_have_no_effect(controller, told):
    parameters = {"apiGroup": "example.com", "kind": "Size", "name": "big"}
    found = msgspec.convert(
        {"metadata": {"name": "edge"}, "spec": {"controller": controller, "parameters": parameters}},
        IngressClass,
    )
    result = converted(ingress(host(path()), ingressClassName="edge"), classes=(found,))
    assert bool(result.virtual_services) is told
    assert [(each.ref, each.path) for each in result.findings] == (
        [(Ref("IngressClass", "", "edge"), "$.spec.parameters")] if told else []
    )


def test_without_ingresses_there_is_no_gateway():
    assert converted() == ((), (), (), {}, {}, ())


def test_the_order_of_ingresses_does_not_matter():
    some = [
        ingress(
            host(path("/a"), name=name), name=f"i{number}", tls=[{"secretName": "cert"}], defaultBackend=to()
        )
        for number, name in enumerate(["x.com", "*.com", "", "x.com"])
    ]
    wanted = converted(*some)
    for seed in range(10):
        random.Random(seed).shuffle(some)
        assert converted(*some) == wanted


@pytest.mark.parametrize(
    ("spec", "at"),
    [
        ({}, "$.spec"),
        ({"rules": [host(path("a"))]}, "$.spec.rules[0].http.paths[0].path"),
        ({"rules": [host(path("/a//b"))]}, "$.spec.rules[0].http.paths[0].path"),
        ({"rules": [host(path("/", "Glob"))]}, "$.spec.rules[0].http.paths[0].pathType"),
        ({"rules": [host(path(), name="10.0.0.1")]}, "$.spec.rules[0].host"),
        ({"rules": [host(path(), name="a.*.com")]}, "$.spec.rules[0].host"),
        (
            {"rules": [host({"pathType": "Prefix", "path": "/", "backend": {}})]},
            "$.spec.rules[0].http.paths[0].backend",
        ),
        ({"defaultBackend": {"service": {"name": "a"}}}, "$.spec.defaultBackend.service.port"),
        ({"rules": [host(path())], "tls": [{"hosts": ["_"]}]}, "$.spec.tls[0].hosts[0]"),
    ],
)
def test_a_wrong_ingress_is_told_where(spec, at):
    found = msgspec.convert({"metadata": {"name": "i"}, "spec": spec}, Ingress)
    assert [where for where, _ in problems(found)] == [at]
