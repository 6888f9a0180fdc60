"""Where calls go by rules of all forms, row by row: from generated configuration, traced as Envoy would."""

from __future__ import annotations

import pytest

from fakes.ruled_manifests import SUBSETS, THIRDS, istio, ruled
from simulate import assert_goes, explained


def virtual_service(hosts, body, name="rules"):
    return istio("VirtualService", name, f"\n  hosts: [{hosts}]\n{body}")


def lead(host, subset="", port=""):
    more = f", subset: {subset}" if subset else ""
    more += f", port: {{number: {port}}}" if port else ""
    return f"route: [{{destination: {{host: {host}{more}}}}}]"


def http(*rules):
    return "  http:\n" + "".join(f"    - {rule}\n" for rule in rules)


PRECEDENCE = ruled(
    virtual_service(
        "reviews",
        http(
            f"{{match: [{{uri: {{exact: /a}}}}], {lead('reviews', 'v1')}}}",
            f"{{match: [{{uri: {{prefix: /a/b}}}}], {lead('reviews', 'v2')}}}",
            f"{{match: [{{uri: {{prefix: /a}}}}], {lead('reviews', 'v3')}}}",
            f"{{match: [{{uri: {{regex: '/r[0-9]+'}}}}], {lead('ratings')}}}",
            f"{{match: [{{uri: {{prefix: /Case}}, ignoreUriCase: true}}], {lead('reviews', 'v1')}}}",
            f"{{match: [{{method: {{regex: 'PUT|PATCH'}}}}, {{headers: {{x-or: {{}}}}}}], {lead('reviews', 'v2')}}}",
            f"{{match: [{{headers: {{x-a: {{prefix: 'on'}}, x-b: {{regex: 't.*'}}}}}}], {lead('reviews', 'v3')}}}",
            f"{{match: [{{authority: {{prefix: reviews.default}}}}], {lead('legacy')}}}",
            f"{{match: [{{queryParams: {{v: {{exact: '1'}}, w: {{}}}}}}], {lead('reviews', 'v1')}}}",
            "{match: [{withoutHeaders: {x-user: {exact: jason}}, uri: {prefix: /not}}], "
            f"{lead('reviews', 'v2')}}}",
            "{match: [{uri: {exact: /gone}}], directResponse: {status: 410}}",
            "{match: [{port: 1234}], directResponse: {status: 500}}",
            f"{{match: [{{headers: {{'@request.auth.claims.sub': {{exact: me}}}}}}], {lead('db')}}}",
            f"{{{lead('far')}}}",
            "{directResponse: {status: 500}}",
        ),
    ),
    SUBSETS,
)


@pytest.mark.parametrize(
    ("call", "lands_on"),
    [
        ("http://reviews:9080/a", "reviews-v1"),
        ("http://reviews:9080/a?x=1", "reviews-v1"),
        ("http://reviews:9080/a/", "reviews-v3"),
        ("http://reviews:9080/a/b", "reviews-v2"),
        ("http://reviews:9080/a/bc", "reviews-v2"),
        ("http://reviews:9080/a/c", "reviews-v3"),
        ("http://reviews:9080/abc", "reviews-v3"),
        ("http://reviews:9080/A", "far-v1"),
        ("http://reviews:9080/r12", "ratings-v1"),
        ("http://reviews:9080/r", "far-v1"),
        ("http://reviews:9080/r12/", "far-v1"),
        ("http://reviews:9080/case", "reviews-v1"),
        ("http://reviews:9080/CASE/x", "reviews-v1"),
        ("PUT http://reviews:9080/", "reviews-v2"),
        ("PATCH http://reviews:9080/", "reviews-v2"),
        ("POST http://reviews:9080/", "far-v1"),
        ("http://reviews:9080/ ; x-or: ", "reviews-v2"),
        ("http://reviews:9080/ ; x-or: anything", "reviews-v2"),
        ("http://reviews:9080/ ; x-a: on ; x-b: true", "reviews-v3"),
        ("http://reviews:9080/ ; x-a: only ; x-b: t", "reviews-v3"),
        ("http://reviews:9080/ ; x-a: on", "far-v1"),
        ("http://reviews:9080/ ; x-a: on ; x-b: false", "far-v1"),
        ("http://reviews.default:9080/", "legacy-v1"),
        ("http://reviews.default.svc.cluster.local:9080/", "legacy-v1"),
        ("http://reviews:9080/?v=1&w=", "reviews-v1"),
        ("http://reviews:9080/?w=2&v=1", "reviews-v1"),
        ("http://reviews:9080/?v=1", "far-v1"),
        ("http://reviews:9080/?v=2&w=1", "far-v1"),
        ("http://reviews:9080/not", "reviews-v2"),
        ("http://reviews:9080/not ; x-user: maria", "reviews-v2"),
        ("http://reviews:9080/not ; x-user: jason", "far-v1"),
        ("http://reviews:9080/gone", "410"),
        ("http://reviews:9080/gone/", "far-v1"),
        ("http://reviews:9080/", "far-v1"),
        ("http://reviews:9080/something/else?x", "far-v1"),
    ],
)
def test_the_first_rule_that_holds_counts(call, lands_on):
    assert_goes(PRECEDENCE, "productpage", call, lands_on)


def to(rule):
    return ruled(virtual_service("reviews", http(rule)), SUBSETS)


@pytest.mark.parametrize(
    ("redirect", "call", "location"),
    [
        ("uri: /new", "http://reviews:9080/old", "http://reviews:9080/new"),
        ("uri: /new", "http://reviews:9080/old?x", "http://reviews:9080/new?x"),
        ("authority: a.example.com", "http://reviews:9080/old/x", "http://a.example.com/old/x"),
        ("scheme: https", "http://reviews:9080/old", "https://reviews:9080/old"),
        ("port: 8443, scheme: https", "http://reviews:9080/old", "https://reviews:8443/old"),
        ("scheme: https, derivePort: FROM_PROTOCOL_DEFAULT", "http://reviews:9080/old", "https://reviews:443/old"),
        ("derivePort: FROM_PROTOCOL_DEFAULT", "http://reviews:9080/old", "http://reviews:80/old"),
        ("authority: b, derivePort: FROM_REQUEST_PORT", "http://reviews:9080/old", "http://b:9080/old"),
        ("prefixRewrite: /new", "http://reviews:9080/old/page?x", "http://reviews:9080/new/page?x"),
        ("prefixRewrite: /, authority: c", "http://reviews:9080/older", "http://c/er"),
        ("uri: /n, authority: d, redirectCode: 308", "http://reviews:9080/old", "http://d/n"),
    ],
)  # fmt: skip
def test_redirects_say_where_to_ask(redirect, call, location):
    rule = f"{{match: [{{uri: {{prefix: /old}}}}], redirect: {{{redirect}}}}}"
    assert_goes(to(rule), "productpage", call, f"redirect {location}")


@pytest.mark.parametrize(
    ("weights", "lands_on"),
    [
        ((100, 0, 0), "reviews-v1"),
        ((0, 0, 1), "reviews-v3"),
        ((50, 50, 0), {"reviews-v1": 50, "reviews-v2": 50}),
        ((1, 3, 0), {"reviews-v1": 25, "reviews-v2": 75}),
        ((1, 1, 2), {"reviews-v1": 25, "reviews-v2": 25, "reviews-v3": 50}),
        ((33, 33, 34), {"reviews-v1": 33, "reviews-v2": 33, "reviews-v3": 34}),
        ((90, 9, 1), {"reviews-v1": 90, "reviews-v2": 9, "reviews-v3": 1}),
        ((7, 7, 7), THIRDS),
    ],
)
def test_shares_are_of_the_sum_of_all_weights(weights, lands_on):
    shares = ", ".join(
        f"{{destination: {{host: reviews, subset: v{number}}}, weight: {weight}}}"
        for number, weight in enumerate(weights, 1)
    )
    assert_goes(to(f"{{route: [{shares}]}}"), "productpage", "http://reviews:9080/", lands_on)


@pytest.mark.parametrize(
    ("match", "call", "lands_on"),
    [
        ("port: 3306", "tcp://db:3306", "guess-v1"),
        ("port: 3307", "tcp://db:3306", "db-v1"),
        ("destinationSubnets: [10.0.0.0/8]", "tcp://db:3306", "guess-v1"),
        ("destinationSubnets: [192.0.2.0/24]", "tcp://db:3306", "db-v1"),
        ("destinationSubnets: [192.0.2.0/24, 0.0.0.0/0]", "tcp://db:3306", "guess-v1"),
        ("sourceSubnet: 0.0.0.0/0", "tcp://db:3306", "guess-v1"),
        ("sourceSubnet: 192.0.2.1", "tcp://db:3306", "db-v1"),
        ("sourceLabels: {app: productpage}", "tcp://db:3306", "guess-v1"),
        ("sourceLabels: {app: other}", "tcp://db:3306", "db-v1"),
        ("sourceNamespace: default", "tcp://db:3306", "guess-v1"),
        ("sourceNamespace: elsewhere", "tcp://db:3306", "db-v1"),
        ("gateways: [mesh]", "mysql://db", "guess-v1"),
        ("gateways: [edge]", "mysql://db", "db-v1"),
    ],
)
def test_connections_that_meet_a_rule_go_elsewhere(match, call, lands_on):
    body = f"  tcp:\n    - {{match: [{{{match}}}], {lead('guess', port='7000')}}}\n"
    assert_goes(ruled(virtual_service("db", body)), "productpage", call, lands_on)


def sidecar(spec):
    return ruled(istio("Sidecar", "default", f"\n{spec}"))


@pytest.mark.parametrize(
    ("hosts", "call", "lands_on"),
    [
        ("./*", "http://ratings:9080/", "ratings-v1"),
        ("./*", "http://other.elsewhere:9080/", "502"),
        ("*/*", "http://other.elsewhere:9080/", "other-v1"),
        ("elsewhere/*", "http://other.elsewhere:9080/", "other-v1"),
        ("elsewhere/*", "http://ratings:9080/", "502"),
        ("~/*", "http://ratings:9080/", "503"),
        ("./ratings.default.svc.cluster.local", "http://ratings:9080/", "ratings-v1"),
        ("./ratings.default.svc.cluster.local", "http://legacy:9080/", "502"),
        ("*/*.default.svc.cluster.local", "http://legacy:9080/", "legacy-v1"),
        ("*/*.elsewhere.svc.cluster.local", "http://legacy:9080/", "502"),
        ("default/*", "tcp://db:3306", "db-v1"),
    ],
)
def test_a_sidecar_shows_what_it_names(hosts, call, lands_on):
    spec = f'  egress: [{{hosts: ["{hosts}"]}}]\n  outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}'
    assert_goes(sidecar(spec), "productpage", call, lands_on)


@pytest.mark.parametrize(
    ("policy", "call", "lands_on"),
    [
        ("mode: REGISTRY_ONLY", "http://www.example.com:9080/", "502"),
        ("mode: REGISTRY_ONLY", "http://ratings:9080/", "ratings-v1"),
        ("mode: REGISTRY_ONLY", "tcp://192.0.2.7:5432", "503"),
        ("mode: ALLOW_ANY", "http://www.example.com:9080/", "(as the caller resolved it):9080"),
        ("mode: ALLOW_ANY", "tcp://192.0.2.7:5432", "192.0.2.7:5432"),
        ("mode: ALLOW_ANY, egressProxy: {host: db, port: {number: 3306}}", "tcp://192.0.2.7:5432", "db-v1"),
        ("mode: ALLOW_ANY, egressProxy: {host: ratings, port: {number: 9080}}", "http://www.example.com:9080/",
         "ratings-v1"),
        ("mode: ALLOW_ANY, egressProxy: {host: db, port: {number: 3306}}", "http://ratings:9080/", "ratings-v1"),
    ],
)  # fmt: skip
def test_what_becomes_of_unknown_destinations(policy, call, lands_on):
    spec = f"  egress: [{{hosts: ['./*']}}]\n  outboundTrafficPolicy: {{{policy}}}"
    assert_goes(sidecar(spec), "productpage", call, lands_on)


@pytest.mark.parametrize(
    ("export_to", "caller", "lands_on"),
    [
        ("'*'", "productpage", "418"),
        ("'*'", "elsewhere/caller", "418"),
        (".", "productpage", "418"),
        (".", "elsewhere/caller", "ratings-v1"),
        ("elsewhere", "elsewhere/caller", "418"),
        ("elsewhere", "productpage", "ratings-v1"),
        ("other", "elsewhere/caller", "ratings-v1"),
        ("., elsewhere", "elsewhere/caller", "418"),
    ],
)
def test_rules_hold_for_those_to_whom_they_are_exported(export_to, caller, lands_on):
    body = f"  exportTo: [{export_to}]\n{http('{directResponse: {status: 418}}')}"
    text = ruled(virtual_service("ratings", body))
    assert_goes(text, caller, "http://ratings.default:9080/", lands_on)


@pytest.mark.parametrize(
    ("policy", "tls"),
    [
        ("{tls: {mode: DISABLE}}", "plain"),
        ("{tls: {mode: ISTIO_MUTUAL}}", "mutual"),
        ("{loadBalancer: {simple: RANDOM}}", "mutual"),
        ("{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}", "mutual"),
        ("{retryBudget: {percent: 5}}", "mutual"),
        ("{loadBalancer: {consistentHash: {httpHeaderName: x}}}", "mutual"),
        ("{outlierDetection: {consecutive5xxErrors: 1}}", "mutual"),
    ],
)
def test_policies_leave_calls_where_they_go(policy, tls):
    rule = istio("DestinationRule", "ratings", f"{{host: ratings, trafficPolicy: {policy}}}")
    assert_goes(ruled(rule), "productpage", "http://ratings:9080/", "ratings-v1", tls)


@pytest.mark.parametrize(
    ("subset", "lands_on"),
    [("v1", "reviews-v1"), ("v2", "reviews-v2"), ("v3", "reviews-v3"), ("v9", "503"), ("", THIRDS)],
)
def test_a_subset_has_the_endpoints_with_its_labels(subset, lands_on):
    assert_goes(to(f"{{{lead('reviews', subset)}}}"), "productpage", "http://reviews:9080/", lands_on)


RESOLVES = """apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}"}
"""


@pytest.mark.parametrize(
    ("call", "lands_on", "tls"),
    [
        ("http://www.example.com/", "www.example.com:80", "plain"),
        ("http://www.example.com:9080/", "www.example.com:9080", "plain"),
        ("http://192.0.2.7:9080/", "192.0.2.7:9080", "plain"),
        ("http://192.0.2.7:9080/ ; host: [2001:db8::1]", "[2001:db8::1]:80", "plain"),
        ("http://www.example.com:9080/ ; host: other.example.com", "other.example.com:80", "plain"),
        ("http://ratings:9080/", "ratings-v1", "mutual"),
        ("http://ratings:9080/ ; host: www.example.com:81", "www.example.com:81", "plain"),
        ("tcp://192.0.2.7:5432", "192.0.2.7:5432", "plain"),
        ("https://www.example.com/", "(as the caller resolved it):443", "plain"),
    ],
)
def test_requests_to_unknown_hosts_go_where_their_names_lead_if_the_mesh_says_so(call, lands_on, tls):
    assert_goes(ruled(RESOLVES), "productpage", call, lands_on, tls)
    assert not explained(ruled(RESOLVES), "productpage", call).trace.unexamined


@pytest.mark.parametrize(
    ("call", "lands_on", "tls"),
    [
        ("http://127.0.0.1:15002/ ; host: ratings:9080", "ratings-v1", "mutual"),
        ("http://127.0.0.1:15002/ ; host: reviews.default:9080", THIRDS, "mutual"),
        ("http://127.0.0.1:15002/ ; host: web", "web-v1", "mutual"),
        ("http://127.0.0.1:15002/ ; host: www.example.com", "www.example.com:80", "plain"),
        ("http://127.0.0.1:15002/ ; host: www.example.com:8080", "www.example.com:8080", "plain"),
        ("CONNECT http://127.0.0.1:15002/ ; host: db:3306", "db-v1", "mutual"),
        ("CONNECT http://127.0.0.1:15002/ ; host: www.example.com:443", "www.example.com:443", "plain"),
        ("http://127.0.0.1:15002/ ; host: db:3306", "404", None),
    ],
)
def test_requests_that_are_sent_to_the_proxy_go_to_the_host_and_port_that_they_name(call, lands_on, tls):
    files = ruled(
        RESOLVES.replace("outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}", "proxyHttpPort: 15002")
    )
    assert_goes(files, "productpage", call, lands_on, tls)
    assert not explained(files, "productpage", call).trace.unexamined


@pytest.mark.parametrize(
    ("rule", "call", "lands_on"),
    [
        (
            "fault: {abort: {httpStatus: 418, percentage: {value: 25}}}",
            "http://ratings:9080/",
            {"418": 25.0, "ratings-v1": 75.0},
        ),
        ("fault: {abort: {httpStatus: 418}}", "http://ratings:9080/", "418"),
        ("fault: {abort: {grpcStatus: UNAVAILABLE}}", "http://ratings:9080/", "200"),
        ("fault: {abort: {grpcStatus: UNAVAILABLE}}", "grpc://ratings:9080/a.Service/Call", "200"),
        (
            "fault: {abort: {httpStatus: 418}}, corsPolicy: {allowOrigins: [{exact: 'https://a.com'}]}",
            "OPTIONS http://ratings:9080/ ; origin: https://a.com ; access-control-request-method: PUT",
            "418",
        ),
        (
            "corsPolicy: {allowOrigins: [{exact: 'https://a.com'}], unmatchedPreflights: IGNORE}",
            "OPTIONS http://ratings:9080/ ; origin: https://b.com ; access-control-request-method: PUT",
            "200",
        ),
        ("retries: {attempts: 1}", "http://ratings:9080/ ; host: ratings{x}", "400"),
    ],
)
def test_what_answers_before_the_application_is_told(rule, call, lands_on):
    body = http(f"{{{lead('ratings')}, {rule}}}")
    assert_goes(ruled(virtual_service("ratings", body)), "productpage", call, lands_on)


def test_what_rules_do_to_headers_is_told():
    changes = "headers: {request: {set: {x-a: b}, remove: [x-b]}, response: {add: {x-c: d}}}"
    shares = (
        f"route: [{{destination: {{host: ratings}}, {changes}}}], headers: {{request: {{add: {{x-a: e}}}}}}"
    )
    text = ruled(virtual_service("ratings", http(f"{{{shares}}}")))
    found = explained(text, "productpage", "http://ratings:9080/ ; x-b: gone ; x-d: stays")
    (branch,) = found.trace.branches
    (one,) = branch.action.upstreams
    assert one.headers == (("x-d", "stays"), ("x-a", "b"), ("x-a", "e"))
    assert [str(each) for each in one.answers] == ["add x-c: d"]
    arrived = found.arrivals[0].trace
    assert arrived.call.request.headers == one.headers


def test_the_host_that_a_rule_writes_for_all_shares_outdoes_that_of_one():
    own = "headers: {request: {set: {host: own}}}"
    rule = f"{{route: [{{destination: {{host: ratings}}, {own}}}], rewrite: {{authority: all}}}}"
    found = explained(ruled(virtual_service("ratings", http(rule))), "productpage", "http://ratings:9080/")
    assert [each.host for _, each in found.trace.forwards] == ["all"]


@pytest.mark.parametrize(
    ("host", "status"), [("ratings:9080", "404"), ("ratings", "400"), ("ratings:x", "400")]
)
def test_connect_without_a_port_is_refused_by_envoy(host, status):
    assert_goes(ruled(), "productpage", f"CONNECT http://ratings:9080/ ; host: {host}", status)
