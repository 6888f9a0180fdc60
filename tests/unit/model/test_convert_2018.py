from __future__ import annotations

import random

import msgspec
import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.istio_2018.kinds import KINDS
from isthmus.api.istio_2018.validate import problems
from isthmus.model.convert_2018.convert import convert
from isthmus.model.findings import Severity

BY_NAME = {kind.name: kind for kind in KINDS}


def made(kind, name="x", namespace="default", **spec):
    found = msgspec.convert(
        {"metadata": {"name": name, "namespace": namespace}, "spec": spec}, BY_NAME[kind].type
    )
    assert not list(problems(found)), list(problems(found))
    return found


def rule(name="r", service="reviews", **spec):
    return made("RouteRule", name, **{"destination": {"name": service}, **spec})


def policy(name="p", service="reviews", **spec):
    labels = spec.pop("labels", {})
    return made("DestinationPolicy", name, **{"destination": {"name": service, "labels": labels}, **spec})


def egress(host, *ports, name="e", **spec):
    ports = [{"port": number, "protocol": protocol} for number, protocol in ports]
    return made("EgressRule", name, destination={"service": host}, ports=ports, **spec)


def converted(*found):
    """The objects by kind and name; each that we have a kind for decodes without a fault."""
    result = convert(found)
    for each in result.objects:
        if each["kind"] != "ServiceEntry":
            decode(kind_named(each["kind"]), each)
    return {
        (each["kind"], each["metadata"]["name"]): each["spec"] for each in result.objects
    }, result.findings


def routes(*found):
    objects, findings = converted(*found)
    assert not findings, findings
    return objects["VirtualService", "reviews"]["http"]


def lost(*found):
    _, findings = converted(*found)
    return [each.path for each in findings if each.severity is Severity.ERROR]


def test_a_rule_that_would_be_wrong_today_is_left_out():
    regex = {"request": {"headers": {"a": {"regex": "(?=x)"}}}}
    result = convert([rule("wrong", precedence=1, match=regex), rule("right")])
    (found,) = result.objects
    assert [each["name"] for each in found["spec"]["http"]] == ["right"]
    (finding,) = result.findings
    assert (finding.ref.name, finding.severity) == ("wrong", Severity.ERROR)
    assert "no regular expression of RE2" in finding.message


def test_nothing_is_made_of_rules_for_udp():
    assert not convert([rule(match={"udp": {}})]).objects


def test_versions_become_subsets():
    objects, _ = converted(
        rule(
            route=[
                {"labels": {"version": "v1"}, "weight": 80},
                {"labels": {"version": "v2", "env": "QA_1"}, "weight": 20},
            ]
        )
    )
    assert objects["DestinationRule", "reviews"] == {
        "host": "reviews",
        "subsets": [
            {"name": "env-qa-1-version-v2", "labels": {"env": "QA_1", "version": "v2"}},
            {"name": "v1", "labels": {"version": "v1"}},
        ],
    }
    (only,) = objects["VirtualService", "reviews"]["http"]
    assert only["route"] == [
        {"destination": {"host": "reviews", "subset": "v1"}, "weight": 80},
        {"destination": {"host": "reviews", "subset": "env-qa-1-version-v2"}, "weight": 20},
    ]


def test_different_labels_never_share_a_subset():
    shares = [{"labels": {"version": text}, "weight": 50} for text in ("v1", "V1")]
    objects, _ = converted(rule(route=shares))
    assert [each["name"] for each in objects["DestinationRule", "reviews"]["subsets"]] == ["v1", "v1-2"]


def test_the_highest_precedence_comes_first():
    found = routes(
        rule("low", route=[{"labels": {"version": "v1"}}]),
        rule("high", precedence=2, match={"request": {"headers": {"uri": "/x"}}}),
        rule("middle", precedence=1, match={"request": {"headers": {"uri": "/y"}}}),
    )
    assert [each["name"] for each in found] == ["high", "middle", "low"]


def test_of_equal_precedence_a_rule_with_conditions_comes_first_and_it_is_told():
    objects, findings = converted(rule("a"), rule("b", match={"request": {"headers": {"uri": "/x"}}}))
    assert [each["name"] for each in objects["VirtualService", "reviews"]["http"]] == ["b", "a"]
    assert [(each.path, each.severity) for each in findings] == [("$.spec.precedence", Severity.WARNING)]


def test_conditions_are_kept():
    headers = {
        "cookie": {"regex": "^(.*?;)?(user=jason)(;.*)?$"},
        "uri": {"prefix": "/a"},
        "method": {"exact": "GET"},
        "scheme": "http",
        "authority": "x.com",
    }
    (only,) = routes(rule(match={"request": {"headers": headers}}))
    assert only["match"] == [
        {
            "uri": {"prefix": "/a"},
            "scheme": {"exact": "http"},
            "method": {"exact": "GET"},
            "authority": {"exact": "x.com"},
            "headers": {"cookie": {"regex": "^(.*?;)?(user=jason)(;.*)?$"}},
        }
    ]


def test_callers_are_known_by_their_labels_and_namespace():
    source = {"name": "productpage", "labels": {"version": "v1"}}
    objects, findings = converted(rule(match={"source": source}))
    (only,) = objects["VirtualService", "reviews"]["http"]
    assert only["match"] == [
        {"sourceLabels": {"app": "productpage", "version": "v1"}, "sourceNamespace": "default"}
    ]
    assert [each.severity for each in findings] == [Severity.WARNING]
    (exact,) = routes(rule(match={"source": {"labels": {"app": "a"}, "namespace": "other"}}))
    assert exact["match"] == [{"sourceLabels": {"app": "a"}, "sourceNamespace": "other"}]


def test_a_rule_without_a_route_leads_to_its_service():
    (only,) = routes(rule(httpFault={"abort": {"percent": 50, "httpStatus": 500}}))
    assert only["route"] == [{"destination": {"host": "reviews"}}]
    assert only["fault"] == {"abort": {"httpStatus": 500, "percentage": {"value": 50}}}


def test_what_happens_to_a_request_is_kept():
    (only,) = routes(
        rule(
            rewrite={"uri": "/b", "authority": "b.com"},
            httpReqTimeout={"simpleTimeout": {"timeout": "10s"}},
            httpReqRetries={"simpleRetry": {"attempts": 3, "perTryTimeout": "2s"}},
            httpFault={"delay": {"percent": 12.5, "fixedDelay": "7s"}},
            mirror={"name": "ratings", "labels": {"version": "v2"}},
            corsPolicy={
                "allowOrigin": ["x.com", "*"],
                "allowMethods": ["GET"],
                "maxAge": "24h",
                "allowCredentials": False,
            },
            appendHeaders={"x-a": "1"},
            websocketUpgrade=True,
        )
    )
    assert {key: value for key, value in only.items() if key not in {"name", "route"}} == {
        "rewrite": {"uri": "/b", "authority": "b.com"},
        "timeout": "10s",
        "retries": {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,connect-failure,refused-stream"},
        "fault": {"delay": {"fixedDelay": "7s", "percentage": {"value": 12.5}}},
        "mirror": {"host": "ratings", "subset": "v2"},
        "corsPolicy": {
            "allowOrigins": [{"exact": "x.com"}, {"regex": ".*"}],
            "allowMethods": ["GET"],
            "maxAge": "24h",
            "allowCredentials": False,
        },
        "headers": {"request": {"add": {"x-a": "1"}}},
    }


def test_a_redirect_is_kept():
    (only,) = routes(rule(redirect={"uri": "/new", "authority": "x.com"}))
    assert only["redirect"] == {"uri": "/new", "authority": "x.com"}
    assert "route" not in only


def test_connections_are_routed_by_their_addresses():
    tcp = {"sourceSubnet": ["10.0.0.0/8", "11.0.0.0/8"], "destinationSubnet": ["12.0.0.1"]}
    objects, _ = converted(rule(match={"tcp": tcp}, route=[{"labels": {"version": "v1"}}]))
    spec = objects["VirtualService", "reviews"]
    assert "http" not in spec
    assert [each["sourceSubnet"] for each in spec["tcp"][0]["match"]] == tcp["sourceSubnet"]
    assert {tuple(each["destinationSubnets"]) for each in spec["tcp"][0]["match"]} == {("12.0.0.1",)}
    assert spec["tcp"][0]["route"] == [{"destination": {"host": "reviews", "subset": "v1"}}]


def test_weights_that_are_no_longer_of_a_hundred_are_told():
    shares = [{"labels": {"version": v}, "weight": 30} for v in ("v1", "v2")]
    _, findings = converted(rule(route=shares))
    assert [(each.path, each.severity) for each in findings] == [("$.spec.route", Severity.WARNING)]


@pytest.mark.parametrize(
    ("service", "hosts", "namespace"),
    [
        ({"name": "reviews"}, ["reviews"], "default"),
        ({"name": "reviews", "namespace": "default"}, ["reviews"], "default"),
        ({"name": "reviews", "namespace": "other"}, ["reviews"], "other"),
        ({"service": "reviews.other.svc.cluster.local"}, ["reviews"], "other"),
        ({"service": "reviews"}, ["reviews"], "default"),
        ({"service": "reviews.example.com"}, ["reviews.example.com"], "default"),
        ({"name": "reviews", "domain": "svc.corp"}, ["reviews.default.svc.corp"], "default"),
    ],
)
def test_a_service_is_named_as_it_was(service, hosts, namespace):
    (found,) = convert([made("RouteRule", destination=service)]).objects
    assert found["spec"]["hosts"] == hosts
    assert found["metadata"]["namespace"] == namespace


def test_a_destination_elsewhere_is_named_in_full():
    share = {"destination": {"name": "ratings", "namespace": "other"}, "labels": {"version": "v1"}}
    (only,) = routes(rule(route=[share]))
    assert only["route"][0]["destination"] == {"host": "ratings.other.svc.cluster.local", "subset": "v1"}


def test_a_namespace_that_nobody_says_is_left_open():
    (found,) = convert([made("RouteRule", "r", "", destination={"name": "reviews"})]).objects
    assert found["metadata"] == {"name": "reviews"}


def test_one_service_with_and_without_its_namespace_is_not_two():
    open_ = made("RouteRule", "open", "", destination={"name": "reviews"})
    assert lost(open_, rule("said", precedence=1)) == ["$.metadata.namespace"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"httpReqTimeout": {"custom": {}}}, "$.spec.httpReqTimeout.custom"),
        (
            {"httpReqTimeout": {"simpleTimeout": {"timeout": "1s", "overrideHeaderName": "x"}}},
            "$.spec.httpReqTimeout.simpleTimeout.overrideHeaderName",
        ),
        ({"httpReqRetries": {"custom": {}}}, "$.spec.httpReqRetries.custom"),
        (
            {"httpFault": {"delay": {"percent": 1, "exponentialDelay": "1s"}}},
            "$.spec.httpFault.delay.exponentialDelay",
        ),
        ({"httpFault": {"abort": {"percent": 1, "http2Error": "X"}}}, "$.spec.httpFault.abort.http2Error"),
        ({"l4Fault": {"throttle": {}}}, "$.spec.l4Fault"),
        ({"match": {"udp": {}}}, "$.spec.match.udp"),
        ({"match": {"request": {"headers": {"a": {"regex": "(?=x)"}}}}}, "$.spec"),
    ],
)
def test_what_has_no_equivalent_is_an_error(spec, path):
    assert lost(rule(**spec)) == [path]


def test_a_policy_of_a_service_and_one_of_a_version_are_one_rule():
    breaker = {
        "maxConnections": 100,
        "httpMaxPendingRequests": 10,
        "httpMaxRequests": 20,
        "httpMaxRequestsPerConnection": 5,
        "httpMaxRetries": 3,
        "httpConsecutiveErrors": 7,
        "sleepWindow": "15m",
        "httpDetectionInterval": "5m",
        "httpMaxEjectionPercent": 50,
    }
    objects, findings = converted(
        policy("a", loadBalancing={"name": "LEAST_CONN"}),
        policy("b", labels={"version": "v1"}, circuitBreaker={"simpleCb": breaker}),
    )
    assert not findings
    assert objects["DestinationRule", "reviews"] == {
        "host": "reviews",
        "trafficPolicy": {"loadBalancer": {"simple": "LEAST_REQUEST"}},
        "subsets": [
            {
                "name": "v1",
                "labels": {"version": "v1"},
                "trafficPolicy": {
                    "connectionPool": {
                        "tcp": {"maxConnections": 100},
                        "http": {
                            "http1MaxPendingRequests": 10,
                            "http2MaxRequests": 20,
                            "maxRequestsPerConnection": 5,
                            "maxRetries": 3,
                        },
                    },
                    "outlierDetection": {
                        "consecutive5xxErrors": 7,
                        "interval": "5m",
                        "baseEjectionTime": "15m",
                        "maxEjectionPercent": 50,
                    },
                },
            }
        ],
    }


def test_a_policy_for_some_callers_is_for_them_and_repeats_what_holds_for_all():
    objects, findings = converted(
        policy("all", labels={"version": "v1"}, loadBalancing={"name": "RANDOM"}),
        policy("some", source={"labels": {"app": "a"}}, loadBalancing={"name": "ROUND_ROBIN"}),
    )
    assert not findings
    own = objects["DestinationRule", "reviews-from-a"]
    assert own["workloadSelector"] == {"matchLabels": {"app": "a"}}
    assert own["trafficPolicy"]["loadBalancer"]["simple"] == "ROUND_ROBIN"
    assert own["subsets"][0]["trafficPolicy"]["loadBalancer"]["simple"] == "RANDOM"
    assert "trafficPolicy" not in objects["DestinationRule", "reviews"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"loadBalancing": {"ringHash": {"ringSize": 9}}}, "$.spec.loadBalancing.ringHash"),
        ({"loadBalancing": {"custom": {}}}, "$.spec.loadBalancing.custom"),
        ({"circuitBreaker": {"custom": {}}}, "$.spec.circuitBreaker.custom"),
        ({"custom": {}}, "$.spec.custom"),
    ],
)
def test_what_a_policy_says_that_has_no_equivalent_is_an_error(spec, path):
    assert lost(policy(**spec)) == [path]


def test_of_two_policies_for_the_same_the_second_is_an_error():
    assert lost(policy("a"), policy("b")) == ["$.spec.destination"]


def test_a_host_outside_becomes_a_service_entry_and_the_sidecar_still_makes_its_tls():
    objects, findings = converted(egress("api.example.com", (443, "https"), (80, "http"), (9000, "tcp")))
    assert not findings
    assert objects["ServiceEntry", "e"] == {
        "hosts": ["api.example.com"],
        "location": "MESH_EXTERNAL",
        "ports": [
            {"number": 443, "name": "https-443", "protocol": "HTTP"},
            {"number": 80, "name": "http-80", "protocol": "HTTP"},
            {"number": 9000, "name": "tcp-9000", "protocol": "TCP"},
        ],
        "resolution": "DNS",
    }
    assert objects["DestinationRule", "api.example.com"] == {
        "host": "api.example.com",
        "trafficPolicy": {"portLevelSettings": [{"port": {"number": 443}, "tls": {"mode": "SIMPLE"}}]},
    }


def test_a_wildcard_and_a_range_are_called_as_they_are():
    objects, _ = converted(
        egress("*.example.com", (80, "http"), name="wild"), egress("10.9.0.0/16", (3306, "tcp"), name="range")
    )
    assert objects["ServiceEntry", "wild"]["resolution"] == "NONE"
    assert objects["ServiceEntry", "range"]["addresses"] == ["10.9.0.0/16"]
    assert objects["ServiceEntry", "range"]["resolution"] == "NONE"


def test_a_policy_of_a_host_outside_stays_beside_its_tls():
    objects, _ = converted(
        egress("a.com", (443, "https")),
        made("DestinationPolicy", destination={"service": "a.com"}, loadBalancing={"name": "RANDOM"}),
    )
    found = objects["DestinationRule", "a.com"]["trafficPolicy"]
    assert found["loadBalancer"] == {"simple": "RANDOM"}
    assert found["portLevelSettings"] == [
        {"port": {"number": 443}, "loadBalancer": {"simple": "RANDOM"}, "tls": {"mode": "SIMPLE"}}
    ]


def test_what_an_egress_rule_says_that_has_no_equivalent_is_an_error():
    assert lost(egress("a.com", (80, "http"), useEgressProxy=True)) == ["$.spec.useEgressProxy"]
    assert lost(egress("*-a.b.com", (80, "http"))) == ["$.spec.destination.service"]


def test_the_order_of_objects_does_not_matter():
    some = [
        rule("a", precedence=1, route=[{"labels": {"version": "v2"}}]),
        rule("b", route=[{"labels": {"version": "V2"}}]),
        rule("c", "ratings"),
        policy("p", labels={"version": "v3"}),
        policy("q", source={"labels": {"app": "a"}}),
        egress("a.com", (443, "https")),
    ]
    wanted = convert(some)
    for seed in range(10):
        random.Random(seed).shuffle(some)
        assert convert(some) == wanted


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("RouteRule", {"destination": {}}, "$.spec.destination"),
        ("RouteRule", {"destination": {"name": "a", "service": "b"}}, "$.spec.destination.service"),
        ("RouteRule", {"destination": {"name": "a", "labels": {"v": "1"}}}, "$.spec.destination.labels"),
        ("RouteRule", {"destination": {"name": "a"}, "redirect": {}, "route": [{}]}, "$.spec.redirect"),
        ("RouteRule", {"destination": {"name": "a"}, "route": [{}, {}]}, "$.spec.route"),
        (
            "RouteRule",
            {"destination": {"name": "a"}, "match": {"request": {"headers": {"A": "b"}}}},
            "$.spec.match.request.headers[A]",
        ),
        (
            "RouteRule",
            {"destination": {"name": "a"}, "httpReqTimeout": {"simpleTimeout": {"timeout": "soon"}}},
            "$.spec.httpReqTimeout.simpleTimeout.timeout",
        ),
        (
            "RouteRule",
            {"destination": {"name": "a"}, "httpFault": {"abort": {"httpStatus": 99}}},
            "$.spec.httpFault.abort.httpStatus",
        ),
        ("DestinationPolicy", {}, "$.spec.destination"),
        (
            "DestinationPolicy",
            {"destination": {"name": "a"}, "loadBalancing": {"name": "X"}},
            "$.spec.loadBalancing.name",
        ),
        (
            "EgressRule",
            {"destination": {}, "ports": [{"port": 1, "protocol": "tcp"}]},
            "$.spec.destination.service",
        ),
        ("EgressRule", {"destination": {"service": "a.com"}}, "$.spec.ports"),
        (
            "EgressRule",
            {"destination": {"service": "10.0.0.1"}, "ports": [{"port": 1, "protocol": "http"}]},
            "$.spec.ports[0].protocol",
        ),
    ],
)
def test_a_wrong_object_is_told_where(kind, spec, path):
    found = msgspec.convert({"metadata": {"name": "x"}, "spec": spec}, BY_NAME[kind].type)
    assert [at for at, _ in problems(found)] == [path]
