"""The real Envoy decides over real requests and connections by AuthorizationPolicies."""

from __future__ import annotations

import pytest

from fakes.guarded_envoy import Guarded, greeting, guard, upstream


def of(account, namespace="shop", domain="cluster.local", cluster=None):
    """What the certificate of a workload says."""
    named = (f"{cluster}.clusters.{domain}",) if cluster else ()
    return (f"spiffe://{domain}/ns/{namespace}/sa/{account}",), named


CART, OLD, AUDITOR = of("cart"), of("old"), of("auditor", "audit")
ODD = ("spiffe://other.example/x",), ("spiffe://cluster.local/ns/shop/sa/cart.example",)


def refusing(expression):
    return f'action: DENY\nrules: [{{when: [{{key: cel, values: ["{expression}"]}}]}}]'


# What a policy is, and by case whether a call passes: path, method, headers, caller.
HTTP = {
    "rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/cart, '*/sa/auditor']}}]}]": [
        (200, {"caller": CART}),
        (200, {"caller": AUDITOR}),
        (403, {"caller": OLD}),
        (403, {}),
        (403, {"caller": ODD}),
    ],
    "rules: [{from: [{source: {principals: ['*'], notPrincipals: [cluster.local/ns/shop/sa/old]}}]}]": [
        (200, {"caller": CART}),
        (403, {"caller": OLD}),
        (403, {}),
    ],
    "rules: [{from: [{source: {namespaces: ['sh*']}}]}]": [
        (200, {"caller": CART}),
        (403, {"caller": AUDITOR}),
        (403, {"caller": of("x", "a-sh")}),
        (403, {}),
    ],
    "rules: [{from: [{source: {notNamespaces: [shop]}}]}]": [
        (403, {"caller": CART}),
        (200, {"caller": AUDITOR}),
        (200, {}),  # a caller of no namespace is of another one
    ],
    "rules: [{from: [{source: {serviceAccounts: [shop/cart]}}]}, {from: [{source: {serviceAccounts: [own]}}]}]": [
        (200, {"caller": CART}),
        (200, {"caller": of("cart", domain="other")}),
        (200, {"caller": of("own", "default")}),
        (403, {"caller": of("own")}),
    ],
    "rules: [{from: [{source: {trustDomains: [cluster.local]}}]}]": [
        (200, {"caller": CART}),
        (200, {"caller": of("cart", domain="old.example")}),
        (403, {"caller": of("cart", domain="other.example")}),
    ],
    "rules: [{when: [{key: source.cluster, values: [gke, 'on-*']}]}]": [
        (200, {"caller": of("cart", cluster="gke")}),
        (200, {"caller": of("cart", cluster="on-prem")}),
        (403, {"caller": of("cart", cluster="gke-2")}),
        (403, {"caller": of("cart", cluster="gke.evil")}),
        (403, {"caller": (of("cart", domain="other.example")[0], ("gke.clusters.cluster.local",))}),
        (403, {"caller": CART}),
    ],
    "rules: [{from: [{source: {ipBlocks: [127.0.0.0/8]}}], to: [{operation: {paths: [/near]}}]}]": [
        (200, {"path": "/near"}),
        (403, {"path": "/far"}),
    ],
    "rules: [{from: [{source: {notIpBlocks: [127.0.0.1]}}]}]": [(403, {})],
    "rules: [{to: [{operation: {hosts: [Shop.example.com, '*.Example.org']}}]}]": [
        (200, {"headers": [("host", "shop.EXAMPLE.com")]}),
        (200, {"headers": [("host", "a.example.org")]}),
        (403, {"headers": [("host", "other.example.com")]}),
    ],
    "rules: [{to: [{operation: {methods: [GET, 'P*'], notPaths: ['/private*']}}]}]": [
        (200, {}),
        (200, {"method": "PUT"}),
        (403, {"method": "DELETE"}),
        (403, {"path": "/private/x"}),
        (403, {"path": "/a/../private/x"}),
    ],
    "rules: [{to: [{operation: {paths: ['/users/{*}/orders', '/files/{**}', '*.png']}}]}]": [
        (200, {"path": "/users/7/orders"}),
        (200, {"path": "/users/7/orders?a=b"}),
        (403, {"path": "/users/7/8/orders"}),
        (200, {"path": "/files/a/b/c.txt"}),
        (200, {"path": "/x/y.png"}),
        (403, {"path": "/x/y.jpg"}),
    ],
    "rules: [{when: [{key: 'request.headers[x-team]', values: [red, 'blue*'], notValues: ['*-test']}]}]": [
        (200, {"headers": [("x-team", "red")]}),
        (200, {"headers": [("x-team", "blue-1")]}),
        (403, {"headers": [("x-team", "blue-test")]}),
        (403, {}),
    ],
    "rules: [{when: [{key: cel, values: [\"'x-a' in request.headers\", \"request.url_path == '/b'\"]}]}]": [
        (200, {"headers": [("x-a", "1")]}),
        (200, {"path": "/b"}),
        (403, {"path": "/c"}),
    ],
    "rules: [{when: [{key: cel, notValues: [\"request.method == 'PUT' // no\"]}]}]": [
        (200, {}),
        (403, {"method": "PUT"}),
    ],
    # What cannot be told, as of a header that is not there, holds where it refuses calls, and not where it lets in.
    refusing("request.headers['x-role'] != 'admin'"): [
        (200, {"headers": [("x-role", "admin")]}),
        (403, {"headers": [("x-role", "guest")]}),
        (403, {}),
    ],
    "action: DENY\nrules: [{when: [{key: cel, notValues: [\"request.headers['x-role'] == 'admin'\"]}]}]": [
        (200, {"headers": [("x-role", "admin")]}),
        (403, {}),
    ],
    refusing("request.method == 'PUT' && request.headers['x'] != 'y'"): [
        (200, {}),
        (403, {"method": "PUT"}),
        (200, {"method": "PUT", "headers": [("x", "y")]}),
    ],
    refusing("'x' in request.headers ? request.headers['x'] == 'y' : false"): [
        (200, {}),
        (403, {"headers": [("x", "y")]}),
    ],
    refusing("connection.uri_san_peer_certificate != 'spiffe://a/b'"): [
        (403, {"caller": CART}),
        (403, {}),
    ],
    refusing("has(request.referer) && request.referer == 'a'"): [
        (200, {}),
        (403, {"headers": [("referer", "a")]}),
    ],
    "rules: [{when: [{key: cel, values: [\"request.headers['x-role'] != 'guest'\"]}]}]": [
        (200, {"headers": [("x-role", "admin")]}),
        (403, {}),
    ],
    "{}": [(403, {"caller": CART}), (403, {})],
    "rules: [{}]": [(200, {})],
    "action: AUDIT\nrules: [{}]": [(200, {})],
    "action: DENY\nrules: [{to: [{operation: {paths: [/no]}}]}]\n---\n"
    "rules: [{from: [{source: {namespaces: [shop]}}]}]": [
        (200, {"caller": CART}),
        (403, {"caller": CART, "path": "/no"}),
        (403, {}),
    ],
    "action: DENY\nrules: [{}]\nannotations: {istio.io/dry-run: 'true'}": [(200, {})],
    "action: CUSTOM\nprovider: {name: nobody}\nrules: [{to: [{operation: {paths: [/asked]}}]}]": [
        (200, {}),
        (403, {"path": "/asked"}),
    ],
    "rules: [{from: [{source: {requestPrincipals: ['*']}}]}]": [(403, {"caller": CART})],
    "action: DENY\nrules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]": [(403, {"caller": CART})],
}

TCP = {
    "rules: [{from: [{source: {namespaces: [shop]}}]}]": [(True, CART), (False, AUDITOR), (False, None)],
    "rules: [{to: [{operation: {methods: [GET]}}]}]": [(False, CART)],
    "action: DENY\nrules: [{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [GET]}}]}]": [
        (False, CART),
        (True, AUDITOR),
    ],
    "rules: [{when: [{key: connection.sni, values: ['*.example']}, {key: source.cluster, values: [gke]}]}]": [
        (True, of("cart", cluster="gke")),
        (False, CART),
    ],
    "rules: [{when: [{key: cel, values: [connection.mtls]}]}]": [(True, CART), (False, None)],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    domains = ("cluster.local", "old.example")
    http, tcp = ([guard(each, domains) for each in several] for several in (HTTP, TCP))
    with greeting() as port:
        made = Guarded(tmp_path_factory.mktemp("guarded"))
        with made.running(http, tcp, [upstream("0", port)]) as running:
            yield running


@pytest.mark.parametrize("text", HTTP, ids=range(len(HTTP)))
def test_requests_pass_as_the_policy_says(text, guarded):
    port = guarded.http[list(HTTP).index(text)]
    assert [(guarded.ask(port, **call), call) for _, call in HTTP[text]] == HTTP[text]


@pytest.mark.parametrize("text", TCP, ids=range(len(TCP)))
def test_connections_pass_as_the_policy_says(text, guarded):
    port = guarded.tcp[list(TCP).index(text)]
    assert [(guarded.says(port, caller) == b"greeting", caller) for _, caller in TCP[text]] == TCP[text]
