"""Where calls go, row by row: from generated configuration, traced as Envoy would."""

from __future__ import annotations

import pytest

from fakes.ruled_manifests import (
    HTTP,
    PLAIN,
    SUBSETS,
    THIRDS,
    cluster,
    deployment,
    files,
    istio,
    node,
    ruled,
    service,
)
from simulate import assert_goes, explained


@pytest.mark.parametrize(
    ("call", "lands_on", "tls"),
    [
        ("http://ratings:9080/", "ratings-v1", "mutual"),
        ("http://ratings.default:9080/", "ratings-v1", "mutual"),
        ("http://ratings.default.svc:9080/", "ratings-v1", "mutual"),
        ("http://ratings.default.svc.cluster.local:9080/", "ratings-v1", "mutual"),
        ("http://ratings.default.svc.cluster.local.:9080/", "ratings-v1", "mutual"),
        ("http://RATINGS:9080/", "ratings-v1", "mutual"),
        ("http://10.9.0.9:9080/", "ratings-v1", "mutual"),
        ("http://ratings:9080/ ; host: reviews", THIRDS, "mutual"),
        ("http://reviews:9080/", THIRDS, "mutual"),
        ("http://legacy:9080/", "legacy-v1", "plain"),
        ("http://productpage:9080/", "productpage-v1", "mutual"),
        ("http://web/", "web-v1", "mutual"),
        ("http://web:80/x?y", "web-v1", "mutual"),
        ("grpc://grpc:7070/a.Service/Call", "grpc-v1", "mutual"),
        ("http://grpc:7070/", "grpc-v1", "mutual"),
        ("tcp://db:3306", "db-v1", "mutual"),
        ("mysql://db", "db-v1", "mutual"),
        ("https://db:3306/", "db-v1", "mutual"),
        ("http://db:3306/", "db-v1", "mutual"),
        ("http://guess:7000/", "guess-v1", "mutual"),
        ("tcp://guess:7000", "guess-v1", "mutual"),
        ("h2c://guess:7000/", "guess-v1", "mutual"),
        ("https://guess:7000/", "guess-v1", "mutual"),
        ("mysql://guess:7000", "guess-v1", "mutual"),
        ("http://other.elsewhere:9080/", "other-v1", "mutual"),
        ("http://far:9080/", "far-v1", "mutual"),
        ("http://empty:9080/", "503", None),
        ("tcp://ratings:9080", "closed", None),
        ("https://ratings:9080/", "closed", None),
        ("http://headless:8000/", "headless-v1", "mutual"),
        ("tcp://stateful:9042", "stateful", "mutual"),
        ("tcp://stateful-0.stateful:9042", "stateful-0", "mutual"),
        ("http://outside/", "api.example.com:80", "plain"),
        ("http://critics:9080/", THIRDS, "mutual"),
        ("http://far-away:9080/", "far-v1", "mutual"),
        ("http://nowhere:9080/", "(as the caller resolved it):9080", "plain"),
        ("http://www.example.com/", "(as the caller resolved it):80", "plain"),
        ("https://www.example.com/", "(as the caller resolved it):443", "plain"),
        ("tcp://192.0.2.7:5432", "192.0.2.7:5432", "plain"),
        ("http://other:9080/", "(as the caller resolved it):9080", "plain"),
    ],
)
def test_without_rules(call, lands_on, tls):
    assert_goes(PLAIN, "productpage", call, lands_on, tls)


@pytest.mark.parametrize(
    ("call", "lands_on"),
    [
        ("http://other:9080/", "other-v1"),
        ("http://ratings:9080/", "(as the caller resolved it):9080"),
        ("http://ratings.default:9080/", "ratings-v1"),
        ("http://ratings.default.svc.cluster.local:9080/", "ratings-v1"),
    ],
)
def test_short_names_are_those_of_the_callers_namespace(call, lands_on):
    assert_goes(PLAIN, "elsewhere/caller", call, lands_on)


def test_unknown_hosts_are_refused_where_the_mesh_says_so():
    strict = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
"""
    assert_goes(ruled(strict), "productpage", "http://www.example.com:9080/", "502")
    assert_goes(ruled(strict), "productpage", "tcp://192.0.2.7:5432", "503")
    assert_goes(ruled(strict), "productpage", "http://ratings:9080/", "ratings-v1")


REVIEWS = istio(
    "VirtualService",
    "reviews",
    """
  hosts: [reviews]
  http:
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - match: [{uri: {prefix: /api/}, method: {exact: POST}}]
      rewrite: {uri: /}
      route: [{destination: {host: reviews, subset: v3}}]
    - match: [{uri: {exact: /health}}]
      directResponse: {status: 418}
    - match: [{uri: {regex: "/books/[0-9]+"}}]
      route: [{destination: {host: ratings}}]
    - match: [{uri: {prefix: /old}}]
      redirect: {uri: /new, authority: new.example.com}
    - match: [{queryParams: {lang: {exact: de}}}]
      route: [{destination: {host: reviews, subset: nosuch}}]
    - match: [{withoutHeaders: {x-known: {}}, uri: {prefix: /strict}}]
      route: [{destination: {host: reviews, subset: v1}}]
    - match: [{sourceLabels: {app: ratings}}]
      route: [{destination: {host: reviews, subset: v3}}]
    - match: [{sourceNamespace: elsewhere}]
      route: [{destination: {host: reviews, subset: v1}}]
    - route:
        - {destination: {host: reviews, subset: v1}, weight: 80}
        - {destination: {host: reviews, subset: v3}, weight: 20}
""",
)
RULED = ruled(REVIEWS, SUBSETS)
USUAL = {"reviews-v1": 80, "reviews-v3": 20}


@pytest.mark.parametrize(
    ("caller", "call", "lands_on"),
    [
        ("productpage", "http://reviews:9080/", USUAL),
        ("productpage", "http://reviews.default.svc.cluster.local:9080/", USUAL),
        ("productpage", "http://reviews:9080/ ; end-user: jason", "reviews-v2"),
        ("productpage", "http://reviews:9080/ ; End-User: jason", "reviews-v2"),
        ("productpage", "http://reviews:9080/ ; end-user: Jason", USUAL),
        ("productpage", "POST http://reviews:9080/api/x", "reviews-v3"),
        ("productpage", "GET http://reviews:9080/api/x", USUAL),
        ("productpage", "http://reviews:9080/health", "418"),
        ("productpage", "http://reviews:9080/health?x", "418"),
        ("productpage", "http://reviews:9080/healthy", USUAL),
        ("productpage", "http://reviews:9080/books/12", "ratings-v1"),
        ("productpage", "http://reviews:9080/books/12/x", USUAL),
        ("productpage", "http://reviews:9080/a/../books/12", "ratings-v1"),
        ("productpage", "http://reviews:9080/old/page?x", "redirect http://new.example.com/new?x"),
        ("productpage", "http://reviews:9080/?lang=de", "503"),
        ("productpage", "http://reviews:9080/?lang=en", USUAL),
        ("productpage", "http://reviews:9080/strict", "reviews-v1"),
        ("productpage", "http://reviews:9080/strict ; x-known: 1", USUAL),
        ("ratings", "http://reviews:9080/", "reviews-v3"),
        ("elsewhere/caller", "http://reviews.default:9080/", "reviews-v1"),
        ("far", "http://reviews:9080/ ; end-user: jason", "reviews-v2"),
    ],
)
def test_rules_of_a_virtual_service(caller, call, lands_on):
    assert_goes(RULED, caller, call, lands_on)


def test_a_rewritten_request_asks_for_something_else():
    found = explained(RULED, "productpage", "POST http://reviews:9080/api/x?y")
    assert [one.path for _, one in found.trace.forwards] == ["/x?y"]


WILD = ruled(
    istio(
        "VirtualService",
        "wild",
        '{hosts: ["*.shop.example.com"], http: [{match: [{port: 9080}], route: [{destination: {host: reviews, '
        "subset: v1}}]}]}",
    ),
    istio(
        "VirtualService",
        "exact",
        "{hosts: [a.shop.example.com], http: [{match: [{port: 9080}], route: [{destination: {host: reviews, "
        "subset: v2}}]}]}",
    ),
    istio(
        "VirtualService",
        "all-of-default",
        '{hosts: ["*.default.svc.cluster.local"], http: [{match: [{headers: {x: {}}}], '
        "directResponse: {status: 418}}, {route: [{destination: {host: ratings}}]}]}",
    ),
    SUBSETS,
)


@pytest.mark.parametrize(
    ("call", "lands_on"),
    [
        ("http://b.shop.example.com:9080/", "reviews-v1"),
        ("http://a.b.shop.example.com:9080/", "reviews-v1"),
        ("http://a.shop.example.com:9080/", "reviews-v2"),
        ("http://shop.example.com:9080/", "(as the caller resolved it):9080"),
        ("http://productpage:9080/ ; x: 1", "418"),
        ("http://productpage:9080/", "ratings-v1"),
    ],
)
def test_wildcard_hosts(call, lands_on):
    assert_goes(WILD, "productpage", call, lands_on)


def rule(host, policy):
    return istio("DestinationRule", host, f"{{host: {host}, trafficPolicy: {policy}}}")


@pytest.mark.parametrize(
    ("policy", "host", "tls", "refused"),
    [
        ("{tls: {mode: DISABLE}}", "ratings", "plain", ""),
        ("{tls: {mode: ISTIO_MUTUAL}}", "ratings", "mutual", ""),
        ("{tls: {mode: ISTIO_MUTUAL}}", "legacy", "mutual", "no sidecar"),
        ("{tls: {mode: SIMPLE, sni: x.example.com}}", "ratings", "tls", "HTTP"),
        ("{portLevelSettings: [{port: {number: 9080}, tls: {mode: DISABLE}}]}", "ratings", "plain", ""),
        ("{portLevelSettings: [{port: {number: 1}, tls: {mode: DISABLE}}]}", "ratings", "mutual", ""),
        ("{tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 9080}, loadBalancer: {simple: RANDOM}}]}",
         "ratings", "mutual", ""),
    ],
)  # fmt: skip
def test_tls_as_a_destination_rule_asks(policy, host, tls, refused):
    text = ruled(rule(host, policy))
    if tls == "tls":
        found = explained(text, "productpage", f"http://{host}:9080/")
        assert {one.tls.mode for _, up in found.trace.forwards for one in up.endpoints} == {"tls"}
        return
    assert_goes(text, "productpage", f"http://{host}:9080/", f"{host}-v1", tls, refused)


MONGO = istio(
    "VirtualService",
    "db",
    """
  hosts: [db]
  tcp:
    - match: [{sourceLabels: {app: ratings}}]
      route: [{destination: {host: guess, port: {number: 7000}}}]
    - route:
        - {destination: {host: db}, weight: 75}
        - {destination: {host: stateful, port: {number: 9042}}, weight: 25}
""",
)


def test_tcp_routes():
    text = ruled(MONGO)
    assert_goes(text, "ratings", "tcp://db:3306", "guess-v1", "mutual")
    found = explained(text, "productpage", "tcp://db:3306")
    assert [(one.name, share) for share, one in found.trace.forwards] == [
        ("outbound|3306||db.default.svc.cluster.local", 75),
        ("outbound|9042||stateful.default.svc.cluster.local", 25),
    ]


LOCALITIES = files(
    cluster("east"),
    node("e1", "eu"),
    node("e2", "us"),
    service("client", HTTP),
    deployment("client", "client", node="e1"),
    service("s", HTTP),
    deployment("s-near", "s", node="e1"),
    deployment("s-far", "s", node="e2", replicas=3),
    cluster("west"),
    node("w1", "asia"),
    service("s", HTTP),
    deployment("s-west", "s", node="w1", replicas=2),
)


def test_the_nearest_locality_gets_all():
    assert_goes(LOCALITIES, "client", "http://s:9080/", "s-near", "mutual")


def test_when_a_cluster_is_lost_the_others_take_over():
    assert_goes(LOCALITIES, "client", "http://s:9080/", "s-west", without="east")
    assert_goes(PLAIN, "productpage", "http://far:9080/", "503", without="west")
    assert_goes(RULED, "productpage", "http://reviews:9080/", {"reviews-v1": 80, "503": 20}, without="west")


def test_endpoints_of_all_priorities_are_shown():
    found = explained(LOCALITIES, "client", "http://s:9080/")
    ((_, upstream),) = found.trace.forwards
    assert sorted({(one.priority, one.cluster) for one in upstream.endpoints}) == [
        (0, "east"),
        (1, "east"),
        (1, "west"),
    ]


GATEWAY = (
    istio(
        "Gateway",
        "shop",
        '{selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}, '
        '{port: {number: 443, name: tls, protocol: TLS}, hosts: ["*"], tls: {mode: PASSTHROUGH}}, '
        '{port: {number: 3306, name: tcp, protocol: TCP}, hosts: ["*"]}]}',
    ),
    istio(
        "VirtualService",
        "shop",
        """
  hosts: [shop.example.com, "*.shop.example.com", db.example.com]
  gateways: [shop]
  http:
    - match: [{uri: {exact: /productpage}}, {uri: {prefix: /static}}]
      route: [{destination: {host: productpage}}]
    - match: [{uri: {prefix: /login}}]
      redirect: {scheme: https}
  tls:
    - match: [{port: 443, sniHosts: [db.example.com]}]
      route: [{destination: {host: db, port: {number: 3306}}}]
  tcp:
    - match: [{port: 3306}]
      route: [{destination: {host: db, port: {number: 3306}}}]
""",
    ),
    service("ingress", ("http", 80), ("https", 443), ("tcp", 3306), selector="istio: ingress").replace(
        "port: 80,", "port: 80, targetPort: 8080,"
    ),
    deployment("ingress", "ingress").replace("app: ingress,", "app: ingress, istio: ingress,"),
)
ENTERED = ruled(*GATEWAY)


@pytest.mark.parametrize(
    ("call", "lands_on"),
    [
        ("http://shop.example.com/productpage", "productpage-v1"),
        ("http://shop.example.com/static/x.css", "productpage-v1"),
        ("http://a.shop.example.com/productpage", "productpage-v1"),
        ("http://shop.example.com/other", "404"),
        ("http://elsewhere.example.com/productpage", "404"),
        ("http://shop.example.com/login", "redirect https://shop.example.com/login"),
        ("tls://db.example.com", "db-v1"),
        ("tls://other.example.com", "closed"),
        ("tcp://shop.example.com:3306", "db-v1"),
        ("tcp://shop.example.com:9999", "closed"),
    ],
)
def test_what_enters_through_a_gateway(call, lands_on):
    assert_goes(ENTERED, "ingress", call, lands_on)


def test_rules_of_a_gateway_do_not_hold_for_sidecars():
    assert_goes(
        ENTERED, "productpage", "http://shop.example.com:9080/login", "(as the caller resolved it):9080"
    )
