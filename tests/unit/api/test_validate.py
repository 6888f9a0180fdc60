from __future__ import annotations

import msgspec
import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.validate import problems

REVIEWS = {"destination": {"host": "reviews"}}


def decoded(kind, spec):
    """The object without the check, so that all of its problems can be seen."""
    return msgspec.convert({"metadata": {"name": "a", "namespace": "b"}, "spec": spec}, kind_named(kind).type)


def wrong(kind, spec):
    return list(problems(decoded(kind, spec)))


def paths(kind, spec):
    return [path for path, _ in wrong(kind, spec)]


def http(*routes):
    return {"hosts": ["reviews"], "http": list(routes)}


def test_a_right_object_has_no_problems():
    route = {
        "match": [{"uri": {"prefix": "/a"}, "headers": {"cookie": {"regex": "^(.*)user=x$"}, "any": {}}}],
        "route": [REVIEWS | {"weight": 10}, REVIEWS | {"weight": 90}],
        "timeout": "1.5s",
        "retries": {"attempts": 2, "perTryTimeout": "250ms"},
    }
    assert not wrong("VirtualService", http(route))
    assert not wrong("VirtualService", {"hosts": ["a"], "tcp": [{"route": [REVIEWS]}]})


@pytest.mark.parametrize(
    ("route", "path", "words"),
    [
        ({}, "$.spec.http[0]", "does nothing"),
        ({"route": [REVIEWS], "redirect": {"uri": "/"}}, "$.spec.http[0]", "does route and redirect"),
        ({"directResponse": {"status": 700}}, "$.spec.http[0].directResponse.status", "is 700"),
        ({"route": [{"destination": {"host": ""}}]}, "$.spec.http[0].route[0].destination.host", "is empty"),
        (
            {"route": [{"destination": {"host": "*.com"}}]},
            "$.spec.http[0].route[0].destination.host",
            "is a wildcard",
        ),
        ({"route": [REVIEWS, REVIEWS]}, "$.spec.http[0].route", "weights are all 0"),
        (
            {"match": [{"uri": {"prefix": "/", "exact": "/"}}], "route": [REVIEWS]},
            "$.spec.http[0].match[0].uri",
            "exactly one of",
        ),
        ({"match": [{"method": {}}], "route": [REVIEWS]}, "$.spec.http[0].match[0].method", "exactly one of"),
        (
            {"match": [{"headers": {"x": {"regex": "("}}}], "route": [REVIEWS]},
            "$.spec.http[0].match[0].headers[x].regex",
            "is no regular expression",
        ),
        (
            {"match": [{"queryParams": {"x": {"regex": "(?=a)"}}}], "route": [REVIEWS]},
            "$.spec.http[0].match[0].queryParams[x].regex",
            "RE2",
        ),
        (
            {"match": [{"withoutHeaders": {"x": {"regex": r"(a)\1"}}}], "route": [REVIEWS]},
            "$.spec.http[0].match[0].withoutHeaders[x].regex",
            "RE2",
        ),
        ({"route": [REVIEWS], "timeout": "soon"}, "$.spec.http[0].timeout", "not a duration"),
        ({"route": [REVIEWS], "timeout": "-1s"}, "$.spec.http[0].timeout", "is negative"),
        (
            {"route": [REVIEWS], "retries": {"perTryTimeout": "1"}},
            "$.spec.http[0].retries.perTryTimeout",
            "not a duration",
        ),
        (
            {"route": [REVIEWS], "retries": {"backoff": "1"}},
            "$.spec.http[0].retries.backoff",
            "not a duration",
        ),
        (
            {"route": [REVIEWS], "fault": {"delay": {"fixedDelay": "x"}}},
            "$.spec.http[0].fault.delay.fixedDelay",
            "not a duration",
        ),
        (
            {"route": [REVIEWS], "corsPolicy": {"maxAge": "1 day"}},
            "$.spec.http[0].corsPolicy.maxAge",
            "not a duration",
        ),
    ],
)
def test_a_wrong_http_route_is_told_where_and_why(route, path, words):
    ((found, message),) = wrong("VirtualService", http(route))
    assert found == path
    assert words in message


def test_a_delegate_may_not_delegate():
    spec = {"http": [{"delegate": {"name": "other"}}]}
    assert paths("VirtualService", spec) == ["$.spec.hosts"]


def test_tls_and_tcp_destinations_are_looked_at():
    bad = {"destination": {"host": ""}}
    spec = {
        "hosts": ["a"],
        "tls": [{"match": [{"sniHosts": ["a"]}], "route": [bad]}],
        "tcp": [{"route": [REVIEWS, bad]}],
    }
    assert paths("VirtualService", spec) == [
        "$.spec.tls[0].route[0].destination.host",
        "$.spec.tcp[0].route[1].destination.host",
        "$.spec.tcp[0].route",
    ]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"host": ""}, "$.spec.host"),
        ({"host": "a", "subsets": [{"name": ""}]}, "$.spec.subsets[0].name"),
        ({"host": "a", "subsets": [{"name": "v1"}, {"name": "v1"}]}, "$.spec.subsets[1].name"),
        (
            {"host": "a", "trafficPolicy": {"loadBalancer": {"simple": "FASTEST"}}},
            "$.spec.trafficPolicy.loadBalancer.simple",
        ),
        ({"host": "a", "trafficPolicy": {"tls": {"mode": "PERHAPS"}}}, "$.spec.trafficPolicy.tls.mode"),
        (
            {"host": "a", "trafficPolicy": {"outlierDetection": {"interval": "x"}}},
            "$.spec.trafficPolicy.outlierDetection.interval",
        ),
        (
            {"host": "a", "trafficPolicy": {"outlierDetection": {"baseEjectionTime": "x"}}},
            "$.spec.trafficPolicy.outlierDetection.baseEjectionTime",
        ),
        (
            {"host": "a", "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "x"}}}},
            "$.spec.trafficPolicy.connectionPool.tcp.connectTimeout",
        ),
        (
            {"host": "a", "trafficPolicy": {"connectionPool": {"tcp": {"tcpKeepalive": {"time": "x"}}}}},
            "$.spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.time",
        ),
        (
            {
                "host": "a",
                "trafficPolicy": {
                    "loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "ttl": "x"}}}
                },
            },
            "$.spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.ttl",
        ),
        (
            {"host": "a", "subsets": [{"name": "v1", "trafficPolicy": {"tls": {"mode": "X"}}}]},
            "$.spec.subsets[0].trafficPolicy.tls.mode",
        ),
        (
            {
                "host": "a",
                "trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "X"}}]},
            },
            "$.spec.trafficPolicy.portLevelSettings[0].tls.mode",
        ),
        (
            {"host": "a", "trafficPolicy": {"portLevelSettings": [{}]}},
            "$.spec.trafficPolicy.portLevelSettings[0].port.number",
        ),
    ],
)
def test_a_wrong_destination_rule_is_told_where(spec, path):
    assert paths("DestinationRule", spec) == [path]


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ({"hosts": []}, "$.spec.servers[0].hosts"),
        ({"hosts": ["a.*.com"]}, "$.spec.servers[0].hosts[0]"),
        ({"hosts": ["ns/a*"]}, "$.spec.servers[0].hosts[0]"),
        ({"port": {"number": 80, "protocol": "SMTP"}}, "$.spec.servers[0].port.protocol"),
    ],
)
def test_a_wrong_gateway_is_told_where(server, path):
    whole = {"port": {"number": 80, "protocol": "http"}, "hosts": ["*", "ns/*.example.com"]} | server
    assert paths("Gateway", {"servers": [whole]}) == [path]


def test_all_problems_are_found_and_decoding_raises_the_first():
    spec = http({}, {"route": [REVIEWS], "timeout": "x"})
    assert paths("VirtualService", spec) == ["$.spec.http[0]", "$.spec.http[1].timeout"]
    with pytest.raises(InvalidConfig, match=r"^\$\.spec\.http\[0\]: does nothing"):
        decode(kind_named("VirtualService"), {"metadata": {"name": "a"}, "spec": spec})


def test_a_sidecar_that_is_right_has_no_problems():
    spec = {
        "egress": [{"hosts": ["./*", "*/*.example.com", "~/*"]}],
        "workloadSelector": {"labels": {"a": "b"}},
    }
    assert wrong("Sidecar", spec) == []


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"egress": [{"hosts": []}]}, "$.spec.egress[0].hosts"),
        ({"egress": [{"hosts": ["./*", "reviews"]}]}, "$.spec.egress[0].hosts[1]"),
        ({"egress": [{"hosts": ["/x"]}]}, "$.spec.egress[0].hosts[0]"),
        ({"egress": [{"hosts": ["a/b/c"]}]}, "$.spec.egress[0].hosts[0]"),
        ({"workloadSelector": {}}, "$.spec.workloadSelector.labels"),
        ({"ingress": [{"port": {"name": "a"}}]}, "$.spec.ingress[0].port.number"),
        ({"ingress": [{"port": {"number": 1}}, {"port": {"number": 1}}]}, "$.spec.ingress[1].port.number"),
    ],
)
def test_what_is_wrong_with_a_sidecar_is_told_by_path(spec, path):
    assert paths("Sidecar", spec) == [path]
