from __future__ import annotations

import msgspec
import pytest

from isthmus.api import kind_named, kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.virtual_service import VirtualService
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
            {"route": [{"destination": {"host": "*"}}]},
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


BROKEN_ROUTES = (
    ({"redirect": {}}, "redirect", "leads nowhere else"),
    ({"redirect": {"uri": "/a", "prefixRewrite": "/b"}}, "redirect.prefixRewrite", "beside uri"),
    ({"redirect": {"scheme": "ftp"}}, "redirect.scheme", "one of http, https"),
    ({"redirect": {"uri": "/"}, "rewrite": {"uri": "/"}}, "rewrite", "beside redirect"),
    (
        {"directResponse": {"status": 200}, "fault": {"abort": {"httpStatus": 500}}},
        "fault",
        "beside directResponse",
    ),
    ({"route": [REVIEWS], "rewrite": {}}, "rewrite", "rewrites nothing"),
    (
        {"route": [REVIEWS], "rewrite": {"uriRegexRewrite": {"match": "(?=a)"}}},
        "rewrite.uriRegexRewrite.match",
        "RE2",
    ),
    (
        {"route": [REVIEWS], "retries": {"attempts": 1, "retryOn": "5x"}},
        "retries.retryOn",
        "did you mean 5xx?",
    ),
    ({"route": [REVIEWS], "fault": {}}, "fault", "injects nothing"),
    ({"route": [REVIEWS], "fault": {"delay": {}}}, "fault.delay.fixedDelay", "is missing"),
    (
        {"route": [REVIEWS], "fault": {"delay": {"fixedDelay": "1s", "percent": 101}}},
        "fault.delay.percent",
        "0 to 100",
    ),
    ({"route": [REVIEWS], "fault": {"abort": {"httpStatus": 99}}}, "fault.abort.httpStatus", "200 to 599"),
    ({"route": [REVIEWS], "fault": {"abort": {}}}, "fault.abort", "exactly one of"),
    (
        {"route": [REVIEWS], "fault": {"abort": {"grpcStatus": "UNAVAILBLE"}}},
        "fault.abort.grpcStatus",
        "did you mean UNAVAILABLE?",
    ),
    (
        {"route": [REVIEWS], "mirror": {"host": "a"}, "mirrors": [{"destination": {"host": "a"}}]},
        "mirrors",
        "beside",
    ),
    ({"route": [REVIEWS], "mirror": {"host": "a"}, "mirrorPercent": 101}, "mirrorPercent", "0 to 100"),
    (
        {"route": [REVIEWS], "corsPolicy": {"allowMethods": ["GTE"]}},
        "corsPolicy.allowMethods[0]",
        "did you mean GET?",
    ),
    (
        {"route": [REVIEWS], "corsPolicy": {"unmatchedPreflights": "DROP"}},
        "corsPolicy.unmatchedPreflights",
        "one of",
    ),
    (
        {"route": [REVIEWS], "match": [{"headers": {"a b": {"exact": "c"}}}]},
        "match[0].headers[a b]",
        "no name of a",
    ),
    (
        {"route": [REVIEWS], "match": [{"sourceLabels": {"app": "a*"}}]},
        "match[0].sourceLabels[app]",
        "a star",
    ),
    ({"delegate": {"name": ""}}, "delegate.name", "is empty"),
)


@pytest.mark.parametrize(("route", "at", "said"), BROKEN_ROUTES)
def test_each_rule_of_a_route_is_told_where_it_is_broken(route, at, said):
    assert_told(VirtualService, {"spec": {"hosts": ["a"], "http": [route]}}, f"$.spec.http[0].{at}", said)


BROKEN_VIRTUAL_SERVICES = (
    ({"hosts": ["a", "a"]}, "hosts[1]", "stands twice"),
    ({"hosts": ["a_b..c"]}, "hosts[0]", "is no host"),
    ({"hosts": ["a"], "gateways": ["a/b/c"]}, "gateways[0]", "is no Gateway"),
    ({"hosts": ["a"], "exportTo": ["*", "b"]}, "exportTo", "beside others"),
    ({"hosts": ["a"], "exportTo": ["B"]}, "exportTo[0]", "is no namespace"),
    ({"gateways": ["b"], "http": [{"route": [REVIEWS]}]}, "gateways", "whoever leaves requests to it"),
    ({"tcp": [{"route": [REVIEWS]}]}, "hosts", "a delegate has http alone"),
    ({"hosts": ["a"], "tcp": [{}]}, "tcp[0].route", "is empty"),
    (
        {"hosts": ["a.b"], "tls": [{"match": [{"sniHosts": ["c.d"]}], "route": [REVIEWS]}]},
        "tls[0].match[0].sniHosts[0]",
        "none of the hosts",
    ),
    (
        {"hosts": ["a.b"], "tls": [{"match": [{"sniHosts": []}], "route": [REVIEWS]}]},
        "tls[0].match[0].sniHosts",
        "is empty",
    ),
)


@pytest.mark.parametrize(("spec", "at", "said"), BROKEN_VIRTUAL_SERVICES)
def test_each_rule_of_a_virtual_service_is_told_where_it_is_broken(spec, at, said):
    assert_told(VirtualService, {"spec": spec}, f"$.spec.{at}", said)


BROKEN_POLICIES = (
    (
        {"loadBalancer": {"simple": "RANDOM", "consistentHash": {"useSourceIp": True}}},
        "loadBalancer.consistentHash",
        "beside simple",
    ),
    ({"loadBalancer": {"consistentHash": {}}}, "loadBalancer.consistentHash", "hashes by nothing"),
    (
        {"loadBalancer": {"consistentHash": {"httpCookie": {"name": ""}}}},
        "loadBalancer.consistentHash.httpCookie.name",
        "is empty",
    ),
    (
        {"loadBalancer": {"simple": "RANDOM", "warmup": {"duration": "1m"}}},
        "loadBalancer.warmup",
        "has no effect",
    ),
    (
        {"loadBalancer": {"warmup": {"duration": "1m", "aggression": 0.5}}},
        "loadBalancer.warmup.aggression",
        "1 or more",
    ),
    (
        {"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "a", "to": {"a": 50}}]}}},
        "loadBalancer.localityLbSetting.distribute[0].to",
        "adds up to 50",
    ),
    (
        {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a", "to": "a"}]}}},
        "loadBalancer.localityLbSetting.failover[0].to",
        "where the failure is",
    ),
    (
        {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a/b", "to": "c"}]}}},
        "loadBalancer.localityLbSetting.failover[0].from",
        "a region alone",
    ),
    (
        {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRAD"}}},
        "connectionPool.http.h2UpgradePolicy",
        "did you mean UPGRADE?",
    ),
    (
        {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE", "useClientProtocol": True}}},
        "connectionPool.http.useClientProtocol",
        "one of the two",
    ),
    (
        {"outlierDetection": {"consecutiveLocalOriginFailures": 3}},
        "outlierDetection.consecutiveLocalOriginFailures",
        "told apart",
    ),
    ({"outlierDetection": {"interval": "0s"}}, "outlierDetection.interval", "hint: more"),
    ({"tls": {"mode": "MUTUAL"}}, "tls.privateKey", "is missing in mode MUTUAL"),
    (
        {"tls": {"mode": "ISTIO_MUTUAL", "caCertificates": "/ca"}},
        "tls.caCertificates",
        "certificates of its own",
    ),
    (
        {"tls": {"mode": "SIMPLE", "credentialName": "a", "caCertificates": "/ca"}},
        "tls.credentialName",
        "beside caCertificates",
    ),
    ({"tunnel": {"targetHost": "", "targetPort": 80}}, "tunnel.targetHost", "is empty"),
    ({"proxyProtocol": {"version": "V3"}}, "proxyProtocol.version", "V1, V2"),
    (
        {"portLevelSettings": [{"port": {"number": 80}}, {"port": {"number": 80}}]},
        "portLevelSettings[1].port.number",
        "stands twice",
    ),
)


@pytest.mark.parametrize(("policy", "at", "said"), BROKEN_POLICIES)
def test_each_rule_of_a_policy_is_told_where_it_is_broken(policy, at, said):
    whole = {"spec": {"host": "a", "trafficPolicy": policy}}
    assert_told(DestinationRule, whole, f"$.spec.trafficPolicy.{at}", said)


def assert_told(type_, raw, path, said):
    found = msgspec.convert(raw, type_)
    told = dict(problems(found))
    assert said in told.get(path, ""), told


def test_a_number_out_of_its_range_hides_nothing_that_stands_beside_it():
    server = {"port": {"number": 70000, "name": "a", "protocol": "HTPP"}, "hosts": []}
    spec = {
        "selector": {"istio": "*"},
        "servers": [server, {**server, "port": {**server["port"], "number": 80}}],
    }
    with pytest.raises(InvalidConfig) as told:
        decode(kind_of("networking.istio.io/v1", "Gateway"), {"metadata": {"name": "a"}, "spec": spec})
    assert [path for path, _ in told.value.problems] == [
        "$.spec.servers[0].port.number", "$.spec.selector[istio]", "$.spec.servers[0].hosts",
        "$.spec.servers[0].port.protocol", "$.spec.servers[1].hosts", "$.spec.servers[1].port.protocol",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        ("Gateway", {"selector": {"a": "b"}}, "$.spec.servers"),
        ("EnvoyFilter", {"workloadSelector": {"labels": {"a": "v*"}}}, "$.spec.workloadSelector.labels[a]"),
        ("Sidecar", {"workloadSelector": {"labels": {"": "v"}}}, "$.spec.workloadSelector.labels"),
    ],
)
def test_a_selector_has_labels_that_can_be_met(kind, spec, path):
    with pytest.raises(InvalidConfig) as told:
        decode(kind_of("networking.istio.io/v1alpha3", kind), {"metadata": {"name": "a"}, "spec": spec})
    assert path in {path for path, _ in told.value.problems}


def test_more_policies_than_an_api_server_can_check_are_too_many():
    subsets = [{"name": f"v{number}", "labels": {"v": str(number)}} for number in range(513)]
    ports = [{"port": {"number": number}} for number in range(1, 514)]
    spec = {"host": "reviews", "subsets": subsets, "trafficPolicy": {"portLevelSettings": ports}}
    found = dict(wrong("DestinationRule", spec))
    assert "are 513" in found["$.spec.subsets"]
    assert "are 513" in found["$.spec.trafficPolicy.portLevelSettings"]


def test_a_template_of_entries_is_looked_at_as_they_are():
    found = dict(wrong("WorkloadGroup", {"template": {"weight": -1, "locality": "a/b/c/d"}}))
    assert found.keys() == {"$.spec.template.weight", "$.spec.template.locality"}
