"""A mesh with random rules, and the words of which requests are made so that rules and requests often meet."""

from __future__ import annotations

import yaml

SERVICES = ("alpha", "beta", "gamma", "delta")
BARE = ("shop.example.com", "*.example.com", "*.shop.example.com", "*.org", "Upper.Case.net")
HOSTS = (
    *SERVICES,
    *(f"{name}.default" for name in SERVICES),
    *(f"{name}.default.svc.cluster.local" for name in SERVICES),
    "alpha.default.svc.cluster.local.",
    "alpha:80",
    "beta:8080",
    "gamma.default.svc:1",
    "10.1.0.1",
    "10.1.0.2:80",
    "shop.example.com",
    "shop.example.com:80",
    "a.shop.example.com",
    "b.example.com",
    "example.com",
    ".example.com",
    "x.org:443",
    "upper.case.net",
    "unknown",
    "[::1]:80",
)
PATHS = (
    "/",
    "/a",
    "/a/b",
    "/A",
    "/api/v1",
    "/ab",
    "/12",
    "/a.b",
    "//",
    "/./",
    "/../",
    "/%2e/",
    "/%41",
    "/a%2Fb",
    "\\a",
    "/..;x/",
    "/%2e%2e;x",
    "/a^|",
    "/%zz",
    "*",
    "/é".encode().decode("ascii", "ignore") or "/",
)
QUERIES = ("", "", "", "?", "?q=1", "?q=2&q=1", "?lang=en", "?q", "?lang=&q=1", "?q=%31", "?a=/a/b", "?x?q=1")
METHODS = ("GET", "GET", "GET", "POST", "DELETE", "HEAD", "OPTIONS", "get", "PURGE", "FETCH")
HEADERS = (
    ("x-a", "one"),
    ("x-a", "two"),
    ("x-a", "ONE"),
    ("x-a", ""),
    ("x-b", "one"),
    ("x-b", "prefix-one"),
    ("x-c", "aaa"),
    ("cookie", "user=jason; a=b"),
    ("end-user", "jason"),
    ("user-agent", "Mozilla/5.0"),
)

_URIS = (
    {"exact": "/a"},
    {"exact": "/"},
    {"prefix": "/a"},
    {"prefix": "/a/"},
    {"prefix": "/api"},
    {"prefix": "/"},
    {"regex": "/[0-9]+"},
    {"regex": "/a(/.*)?"},
    {"regex": "a"},
    {"regex": ".*b"},
)
_TEXTS = (
    {"exact": "one"},
    {"prefix": "pre"},
    {"regex": "a+"},
    {"regex": ".*one"},
    {"exact": "1"},
    {"prefix": "o"},
)
_NAMES = ("x-a", "x-b", "x-c")


def mesh_of(draw):
    """Services, with rules for them, for hosts that are no services, and for a gateway, as a case."""
    documents = [{"kind": "Cluster", "metadata": {"name": "c"}}]
    for number, name in enumerate(SERVICES, 1):
        ports = [{"port": 80, "name": "http"}]
        spec = {"clusterIP": f"10.1.0.{number}", "ports": ports, "selector": {"app": name}}
        documents.append(_object("v1", "Service", name, spec))
    for name in (*SERVICES[:3], *BARE):
        documents.append(_rule(f"mesh-{len(documents)}", draw, [name]))
    servers = [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]
    documents.append(
        _object("networking.istio.io/v1", "Gateway", "gw", {"selector": {"istio": "gw"}, "servers": servers})
    )
    for hosts in (["*"], ["shop.example.com"], ["*.example.com"], ["shop.example.com", "x.org"], ["alpha"]):
        documents.append(_rule(f"gateway-{len(documents)}", draw, hosts, gateways=["gw"]))
    return yaml.safe_dump_all(documents)


def _object(api, kind, name, spec):
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _rule(name, draw, hosts, **more):
    http = [_entry(draw) for _ in range(draw.randint(2, 6))]
    return _object("networking.istio.io/v1", "VirtualService", name, {"hosts": hosts, "http": http, **more})


def _entry(draw):
    matches = [_match(draw) for _ in range(draw.choice((1, 1, 1, 2, 3)))]
    found = {"match": matches}
    kind = draw.choice(("route", "route", "route", "redirect", "directResponse"))
    found[kind] = {"route": _route, "redirect": _redirect, "directResponse": _answer}[kind](draw)
    if kind == "route" and draw.random() < 0.5:
        found["rewrite"] = _rewrite(draw)
    return found


def _match(draw):
    found = {}
    if draw.random() < 0.8:
        found["uri"] = draw.choice(_URIS)
        found["ignoreUriCase"] = draw.random() < 0.3
    if draw.random() < 0.4:
        found["headers"] = {draw.choice(_NAMES): draw.choice((*_TEXTS, {}))}
    if draw.random() < 0.2:
        found["withoutHeaders"] = {draw.choice(_NAMES): draw.choice((*_TEXTS, {}))}
    if draw.random() < 0.2:
        found["queryParams"] = {
            draw.choice(("q", "lang")): draw.choice(({"exact": "1"}, {"regex": "[a-z]+"}, {}))
        }
    if draw.random() < 0.2:
        found["method"] = draw.choice(({"exact": "GET"}, {"regex": "GET|POST"}, {"prefix": "P"}))
    if draw.random() < 0.1:
        found["authority"] = draw.choice(({"prefix": "shop"}, {"exact": "alpha"}, {"regex": ".*:80"}))
    if draw.random() < 0.1:
        found["scheme"] = {"exact": draw.choice(("http", "https"))}
    return found


def _route(draw):
    host = draw.choice(SERVICES)
    if draw.random() < 0.3:
        return [
            {"destination": {"host": host, "subset": "v1"}, "weight": 30},
            {"destination": {"host": host, "subset": "v2"}, "weight": 70},
        ]
    return [{"destination": {"host": host, "subset": draw.choice(("v1", "v2"))}}]


def _rewrite(draw):
    return draw.choice(
        (
            {"uri": "/new"},
            {"uri": "/"},
            {"uri": "/new/", "authority": "other.example.com"},
            {"authority": "other.example.com"},
            {"uriRegexRewrite": {"match": "/([a-z]+)", "rewrite": "/<\\1>"}},
            {"uriRegexRewrite": {"match": "a*", "rewrite": "-"}},
        )
    )


def _redirect(draw):
    return draw.choice(
        (
            {"uri": "/moved"},
            {"uri": "/moved?x=y"},
            {"authority": "new.example.com"},
            {"uri": "/moved", "authority": "new.example.com", "redirectCode": 302},
            {"scheme": "https"},
            {"scheme": "https", "port": 8443},
            {"derivePort": "FROM_PROTOCOL_DEFAULT", "scheme": "https"},
            {"port": 81, "redirectCode": 307},
        )
    )


def _answer(draw):
    return {"status": draw.choice((200, 418, 503)), "body": {"string": "no"}}
