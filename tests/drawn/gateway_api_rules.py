"""HTTPRoutes, GRPCRoutes and Ingresses, for gateways and for callers of Services, and calls that nearly meet them."""

from __future__ import annotations

from hypothesis import strategies as st

from drawn.calls import UNKNOWN, names_of
from drawn.http_rules import PATHS, REGEXES, TEXT_REGEXES, TEXTS, VARIANTS, pick, seldom, some, without_none
from drawn.worlds import VIPS, document
from isthmus.translate.trace.call import Call, Request

API = "gateway.networking.k8s.io/v1"
BACKENDS = ("alpha", "beta", "gamma", "delta", "gone")
HOSTS = ("shop.example.com", "*.example.com", "a.shop.example.com", "x.org", "Upper.Example.com".lower())
ADDRESS = "10.2.9.7"

values = st.one_of(
    some({"value": pick(TEXTS)}),
    some({"type": st.just("RegularExpression"), "value": pick(sorted(TEXT_REGEXES))}),
)
headers = st.lists(
    st.builds(lambda name, value: {"name": name, **value}, pick(("x-a", "X-B", "end-user")), values),
    max_size=2,
    unique_by=lambda each: each["name"],
)
parameters = st.lists(
    st.builds(lambda name, value: {"name": name, **value}, pick(("q", "lang")), values),
    max_size=2,
    unique_by=lambda each: each["name"],
)
paths = st.one_of(
    some({"type": st.just("PathPrefix"), "value": pick(("/", "/a", "/a/b", "/api", "/A"))}),
    some({"type": st.just("Exact"), "value": pick(PATHS)}),
    some({"type": st.just("RegularExpression"), "value": pick(sorted(REGEXES))}),
)
matches = without_none(
    path=st.one_of(paths, paths, st.none()),
    headers=seldom(headers),
    queryParams=seldom(parameters),
    method=seldom(pick(VARIANTS[:4])),
)
named = st.lists(some({"name": pick(("x-a", "x-new")), "value": pick(TEXTS)}), max_size=1)
modifiers = without_none(set=seldom(named), add=named, remove=seldom(st.just(["x-b"])))
of_requests = modifiers.map(lambda found: {"type": "RequestHeaderModifier", "requestHeaderModifier": found})
of_answers = modifiers.map(lambda found: {"type": "ResponseHeaderModifier", "responseHeaderModifier": found})
mirrors = st.builds(
    lambda name: {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name, "port": 80}}},
    pick(("alpha", "beta")),
)
new_paths = st.one_of(
    st.just({"type": "ReplaceFullPath", "replaceFullPath": "/new"}),
    st.builds(
        lambda text: {"type": "ReplacePrefixMatch", "replacePrefixMatch": text}, pick(("/new", "/", "/n/"))
    ),
)
rewrites = without_none(hostname=seldom(st.just("other.example.com")), path=new_paths)
redirects = without_none(
    scheme=seldom(pick(("http", "https"))),
    hostname=seldom(st.just("new.example.com")),
    port=seldom(pick((80, 443, 8443))),
    statusCode=seldom(pick((301, 302))),
    path=seldom(new_paths),
)
shares = st.lists(
    st.builds(
        lambda name, weight, filters: {
            "name": name,
            "port": 80,
            **weight,
            **({"filters": filters} if filters else {}),
        },
        pick(BACKENDS),
        pick(({}, {"weight": 0}, {"weight": 3})),
        st.none() | st.lists(of_requests, max_size=1),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def rules(draw):
    """A rule of an HTTPRoute: its filters go together, and a prefix is replaced where there is one."""
    found = {"matches": draw(st.lists(matches, min_size=1, max_size=3))}
    by_prefix = [each.get("path", {}).get("type") for each in found["matches"]] == ["PathPrefix"]
    filters = [draw(each) for each in (of_requests, of_answers, mirrors) if draw(st.integers(0, 3)) == 3]
    kind = draw(pick(("plain", "plain", "urlRewrite", "requestRedirect")))
    if kind != "plain":
        asked = draw(rewrites if kind == "urlRewrite" else redirects)
        if not by_prefix and asked.get("path", {}).get("type") == "ReplacePrefixMatch":
            del asked["path"]
        filters.append({"type": kind.replace("url", "URL").replace("request", "Request"), kind: asked})
    if kind == "requestRedirect":
        filters = [each for each in filters if each["type"] != "RequestMirror"]
    else:
        found["backendRefs"] = draw(shares)
    return found | ({"filters": filters} if filters else {})


METHODS = ({"service": "shop.Cart"}, {"service": "shop.Cart", "method": "Add"}, {"method": "Add"})
METHODS += ({"type": "RegularExpression", "service": "shop\\..*", "method": "Add|Remove"},)
grpc_rules = without_none(
    matches=st.lists(without_none(method=pick(METHODS), headers=seldom(headers)), max_size=2),
    backendRefs=shares,
)


@st.composite
def route(draw, name, parents):
    """An HTTPRoute or a GRPCRoute with one or two of these parents."""
    kind = draw(pick(("HTTPRoute", "HTTPRoute", "HTTPRoute", "GRPCRoute")))
    spec = {
        "parentRefs": draw(parents),
        "rules": draw(st.lists(rules() if kind == "HTTPRoute" else grpc_rules, min_size=1, max_size=3)),
    }
    if all("group" not in each for each in spec["parentRefs"]) and draw(st.booleans()):
        spec["hostnames"] = draw(st.lists(pick(HOSTS), min_size=1, max_size=2, unique=True))
    when = draw(pick(("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")))
    return document(kind, name, spec, api=API, creationTimestamp=when)


GATEWAY = document(
    "Gateway",
    "web",
    {
        "gatewayClassName": "istio",
        "listeners": [
            {"name": "http", "port": 8080, "protocol": "HTTP"},
            {"name": "narrow", "port": 8081, "protocol": "HTTP", "hostname": "*.example.com"},
            {"name": "one", "port": 8081, "protocol": "HTTP", "hostname": "shop.example.com"},
        ],
    },
    api=API,
)
SECTIONS = [{"name": "web", "sectionName": name} for name in ("http", "narrow", "one")]
OF_GATEWAY = st.just([{"name": "web"}]) | st.lists(pick(SECTIONS), min_size=1, max_size=2, unique_by=str)
SERVICES = [{"group": "", "kind": "Service", "name": name, "port": 80} for name in ("alpha", "beta", "delta")]
OF_SERVICES = st.lists(pick(SERVICES), min_size=1, max_size=2, unique_by=str)


@st.composite
def worlds(draw, *, mesh):
    """Routes of Services, or of one Gateway."""
    parents = OF_SERVICES if mesh else OF_GATEWAY
    found = [draw(route(f"route-{number}", parents)) for number in range(draw(st.integers(1, 3)))]
    return found if mesh else [GATEWAY, *found]


def _near(text, kind, regexes):
    match kind:
        case "Exact":
            return pick((text, text, text, text + "x", text + "/", text[:-1] or text))
        case "RegularExpression":
            return pick(regexes[text])
    return pick((text, f"{text}/x", f"{text}/", f"{text}x", text.swapcase()))


@st.composite
def near(draw, documents):
    """A request that meets a condition of one of the routes, or nearly."""
    routes = [each for each in documents if each["kind"].endswith("Route")]
    chosen = draw(pick(routes))
    match = draw(pick(draw(pick(chosen["spec"]["rules"])).get("matches") or [{}]))
    said = {
        each["name"].lower(): draw(_near(each["value"], each.get("type", "Exact"), TEXT_REGEXES))
        for each in match.get("headers", ())
    }
    if chosen["kind"] == "GRPCRoute":
        asked = match.get("method", {})
        service = draw(
            pick((asked.get("service", "shop.Cart").replace("\\..*", ".Any"), "shop.Other", "shop"))
        )
        path = f"/{service}/{draw(pick((asked.get('method', 'Add').partition('|')[0], 'Get', 'add')))}"
        if draw(st.integers(0, 4)):
            said["content-type"] = draw(
                pick(("application/grpc", "application/grpc+proto", "application/json"))
            )
        return Request(method="POST", path=path, headers=tuple(sorted(said.items())))
    asked = match.get("path", {"type": "PathPrefix", "value": draw(pick(PATHS))})
    query = "&".join(
        f"{each['name']}={draw(_near(each['value'], each.get('type', 'Exact'), TEXT_REGEXES))}"
        for each in match.get("queryParams", ())
    )
    method = match.get("method", "GET")
    return Request(
        method=draw(pick((method, method, method, *VARIANTS))),
        path=(draw(_near(asked["value"], asked["type"], REGEXES)) or "/") + (f"?{query}" if query else ""),
        headers=tuple(sorted(said.items())),
    )


@st.composite
def calls(draw, documents, *, mesh):
    """Such a request to a Service by its sidecar, or from outside to the Gateway."""
    request = draw(near(documents))
    if mesh:
        name = draw(pick(("alpha", "beta", "delta")))
        host = draw(names_of(f"{name}.default.svc.cluster.local"))
        address = draw(pick((VIPS[name], VIPS[name], UNKNOWN)))
        return Call(
            address=address, port=draw(pick((80, 80, 8080))), source="10.2.9.9", request=_to(request, host)
        )
    host = draw(names_of(draw(pick(HOSTS))))
    return Call(
        address=ADDRESS, port=draw(pick((8080, 8081))), source="203.0.113.7", request=_to(request, host)
    )


def _to(request, host):
    return Request(method=request.method, host=host, path=request.path, headers=request.headers)


@st.composite
def ingresses(draw):
    """Ingresses of one class, with paths of all types; some hosts are served by several."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        own = [
            {"host": host, "http": {"paths": draw(st.lists(_ingress_paths, min_size=1, max_size=3))}}
            if host
            else {"http": {"paths": draw(st.lists(_ingress_paths, min_size=1, max_size=2))}}
            for host in draw(st.lists(pick((*HOSTS, None)), min_size=1, max_size=2, unique=True))
        ]
        spec = {"ingressClassName": "istio", "rules": own}
        if draw(st.booleans()):
            spec["defaultBackend"] = {"service": {"name": "gamma", "port": {"number": 80}}}
        found.append(document("Ingress", f"web-{number}", spec, api="networking.k8s.io/v1"))
    return found


_ingress_paths = st.builds(
    lambda path, kind, name, port: {
        "path": path,
        "pathType": kind,
        "backend": {"service": {"name": name, "port": port}},
    },
    pick(("/", "/a", "/a/", "/a/b", "/api", "/api/*")),
    pick(("Prefix", "Exact", "ImplementationSpecific")),
    pick(("alpha", "beta", "gone")),
    pick(({"number": 80}, {"name": "http"}, {"name": "nosuch"})),
)


@st.composite
def ingress_calls(draw, documents):
    """A request from outside for a path of one of the Ingresses, or nearly."""
    rule = draw(pick([rule for each in documents for rule in each["spec"]["rules"]]))
    written = draw(pick(rule["http"]["paths"]))["path"].removesuffix("*")
    path = draw(pick((written, f"{written}x", f"{written}/x", f"{written}/", written.rstrip("/") or "/")))
    host = draw(names_of(rule.get("host") or "any.net"))
    return Call(address=ADDRESS, port=80, source="203.0.113.7", request=Request(host=host, path=path))
