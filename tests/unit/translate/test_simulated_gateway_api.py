"""Where calls go from Gateways of the Gateway API, row by row: nothing is written of them but the Gateway."""

from __future__ import annotations

import pytest

from fakes.ruled_manifests import HTTP, TCP, cluster, deployment, files, service
from simulate import assert_goes, explained


def api(kind, name, spec, version="v1"):
    meta = f"metadata: {{name: {name}}}"
    return f"apiVersion: gateway.networking.k8s.io/{version}\nkind: {kind}\n{meta}\nspec: {spec}\n"


WEB = api(
    "Gateway",
    "web",
    """
  gatewayClassName: istio
  listeners:
    - {name: http, port: 80, protocol: HTTP, hostname: "*.example.com"}
    - {name: inner, port: 8080, protocol: HTTP}
    - {name: pass, port: 443, protocol: TLS, tls: {mode: Passthrough}, hostname: vault.example.com}
    - {name: db, port: 3306, protocol: TCP}
""",
)


def route(name, spec, kind="HTTPRoute", version="v1", section="http"):
    return api(kind, name, f"\n  parentRefs: [{{name: web, sectionName: {section}}}]\n{spec}", version)


def to(*names, port=9080):
    backends = ", ".join(f"{{name: {name}, port: {port}, weight: {weight}}}" for name, weight in names)
    return f"backendRefs: [{backends}]"


SHOP = route(
    "shop",
    f"""
  hostnames: [shop.example.com]
  rules:
    - {{matches: [{{path: {{value: /cart}}}}], {to(("cart", 1))}}}
    - {{matches: [{{path: {{type: Exact, value: /one}}}}], {to(("one", 1))}}}
    - {{matches: [{{method: POST}}], {to(("cart", 1))}}}
    - {{matches: [{{headers: [{{name: canary, value: "1"}}]}}], {to(("one", 1), ("cart", 3))}}}
    - {{matches: [{{queryParams: [{{name: v, value: "2"}}]}}], {to(("one", 1))}}}
    - matches: [{{path: {{value: /old}}}}]
      filters: [{{type: RequestRedirect, requestRedirect: {{hostname: new.example.com, statusCode: 301}}}}]
    - matches: [{{path: {{value: /none}}}}]
    - {{matches: [{{path: {{value: /lost}}}}], {to(("nowhere", 1))}}}
    - {{{to(("shop", 1))}}}
""",
)
OTHERS = (
    route("any", f"  rules: [{{{to(('one', 1))}}}]", section="inner"),
    route("vault", f"  hostnames: [vault.example.com]\n  rules: [{{{to(('vault', 1), port=443)}}}]",
          "TLSRoute", "v1alpha2", "pass"),
    route("db", f"  rules: [{{{to(('db', 1), port=3306)}}}]", "TCPRoute", "v1alpha2", "db"),
)  # fmt: skip
PARTS = (
    *(service(name, HTTP) for name in ("shop", "cart", "one")),
    service("vault", ("tls", 443)),
    service("db", TCP),
    *(deployment(name, name) for name in ("shop", "cart", "one", "db")),
    deployment("vault", "vault", sidecar="false"),
)
MESH = files(cluster("east"), WEB, SHOP, *OTHERS, *PARTS)


@pytest.mark.parametrize(
    ("call", "lands_on", "tls"),
    [
        ("http://shop.example.com/", "shop", "mutual"),
        ("http://SHOP.example.com/x", "shop", "mutual"),
        ("http://shop.example.com/cart", "cart", "mutual"),
        ("http://shop.example.com/cart/1", "cart", "mutual"),
        ("http://shop.example.com/carts", "shop", "mutual"),
        ("http://shop.example.com/one", "one", "mutual"),
        ("http://shop.example.com/one/", "shop", "mutual"),
        ("POST http://shop.example.com/", "cart", "mutual"),
        ("POST http://shop.example.com/one", "one", "mutual"),
        ("http://shop.example.com/ ; canary: 1", {"one": 25.0, "cart": 75.0}, "mutual"),
        ("http://shop.example.com/ ; canary: 2", "shop", "mutual"),
        ("http://shop.example.com/?v=2", "one", "mutual"),
        ("http://shop.example.com/?v=3", "shop", "mutual"),
        ("http://shop.example.com/old/x", "redirect http://new.example.com/old/x", None),
        ("http://shop.example.com/none", "500", None),
        ("http://shop.example.com/lost", "500", None),
        ("http://other.example.com/", "404", None),
        ("http://shop.example.org/", "404", None),
        ("http://anything.example.org:8080/", "one", "mutual"),
        ("https://vault.example.com/", "vault", "plain"),
        ("https://other.example.com/", "closed", None),
        ("tcp://db.example.com:3306", "db", "mutual"),
        ("tcp://db.example.com:3307", "closed", None),
    ],
)
def test_calls_at_a_gateway_end_where_its_routes_lead(call, lands_on, tls):
    assert_goes(MESH, "web-istio", call, lands_on, tls)


def test_a_route_at_a_gateway_is_told_by_the_object_that_somebody_wrote():
    found = explained(MESH, "web-istio", "http://shop.example.com/cart")
    origin = found.origins[str(found.trace.branches[0].route.index)]
    assert (origin.object, origin.entry) == ("HTTPRoute default/shop", "rules[0]")
    assert found.caller.kind == "gateway"


def test_a_gateway_of_another_class_gets_no_pod():
    theirs = MESH.replace("gatewayClassName: istio", "gatewayClassName: theirs")
    with pytest.raises(ValueError, match="no pod is called web"):
        explained(theirs, "web-", "http://shop.example.com/")


def test_a_deployment_that_is_written_stands_in_for_the_one_that_would_be_made():
    own = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-istio}
spec:
  replicas: 0
  template: {metadata: {labels: {gateway.networking.k8s.io/gateway-name: web}}}
"""
    with pytest.raises(ValueError, match="no pod is called web"):
        explained(files(MESH, own), "web-", "http://shop.example.com/")
