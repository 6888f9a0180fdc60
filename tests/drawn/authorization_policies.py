"""AuthorizationPolicies as people write them, all keys and their negations, and calls of a workload that meet them."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from drawn.guards import IDENTITIES, METHODS, NAMES, SOURCES, VALUES, requests
from drawn.http_rules import pick, seldom, some, without_none
from drawn.worlds import document, pods, service
from fakes import judges
from fakes.judges import JUDGES
from fakes.signed_tokens import BAD, ISSUERS, JWKS, TOKENS
from isthmus.translate.trace.call import Call, Hello, Speech
from isthmus.translate.transport import upstream_alpn

API = "security.istio.io/v1"
ADDRESS = "10.2.1.1"
SERVED = [
    service("web", ports=(("http", 80), ("tcp-data", 3306)), address="10.1.0.1"),
    *pods("web", address="10.1.0.1", versions=("v1",)),
    *judges.SERVED,
]
HTTP_PORT, TCP_PORT = 9080, 12306
PATTERNS = (
    *(
        "/",
        "/a",
        "/a/*",
        "*/stars",
        "/admin*",
        "*",
        "*.json",
        "/reviews/{*}",
        "/reviews/{*}/stars",
        "/a/{**}",
    ),
    *("/{*}", "/{**}/stars", "/static/{**}", "/{*}/b"),
)
PRINCIPALS = tuple(each.removeprefix("spiffe://") for each in IDENTITIES)
WHERE_TOKENS_ARE = (
    {},
    {},
    {"fromHeaders": [{"name": "x-token"}]},
    {"fromHeaders": [{"name": "authorization", "prefix": "Bearer "}], "fromParams": ["token"]},
    {"forwardOriginalToken": True},
)
EXPRESSIONS = ("request.headers['x-a'] == 'one'", "connection.mtls", "'x-b' in request.headers")


def patterns(*known):
    """These, and their beginnings and ends with a star."""
    text = pick(known)
    return st.one_of(
        text,
        text,
        text.map(lambda one: f"{one[: max(1, len(one) // 2)]}*"),
        text.map(lambda one: f"*{one[len(one) // 2 :]}"),
        st.just("*"),
    )


def _texts(part):
    return st.lists(part, min_size=1, max_size=2, unique=True)


ranges = pick((*SOURCES, "127.1.0.0/16", "127.2.0.0/16", "127.0.0.0/8", "10.0.0.0/8"))
tokens = pick((*(f"{issuer}/alice" for issuer in ISSUERS), f"{ISSUERS[0]}/*", "*/alice", "*", "other/alice"))
_SOURCE = {
    "principals": patterns(*PRINCIPALS),
    "namespaces": patterns("default", "shop"),
    "trustDomains": patterns("cluster.local", "far.example"),
    "ipBlocks": ranges,
    "remoteIpBlocks": ranges,
    "requestPrincipals": tokens,
}
_OPERATION = {
    "hosts": patterns("shop.example.com", "ADMIN.example.com"),
    "ports": pick((str(HTTP_PORT), str(TCP_PORT), "80")),
    "methods": patterns(*METHODS[:3]),
    "paths": pick(PATTERNS),
}
_KEYS = {
    **{f"request.headers[{name}]": patterns(*filter(bool, VALUES)) for name in NAMES},
    "source.ip": ranges,
    "remote.ip": ranges,
    "source.namespace": patterns("default", "shop"),
    "source.principal": patterns(*PRINCIPALS),
    "source.trustDomain": patterns("cluster.local"),
    "source.serviceAccount": pick(("web", "shop/cart", "default/webster")),
    "source.cluster": patterns("east", "west"),
    "request.auth.principal": tokens,
    "request.auth.audiences": patterns("books", "films"),
    "request.auth.presenter": patterns("app"),
    "request.auth.claims[group]": patterns("staff", "guests"),
    "request.auth.claims[org][unit]": patterns("sales"),
    "destination.ip": pick((ADDRESS, "10.2.1.0/24", "10.9.0.0/16")),
    "destination.port": pick((str(HTTP_PORT), str(TCP_PORT))),
    "connection.sni": patterns("outbound_.80_._.web"),
    "cel": pick(EXPRESSIONS),
}


def _negated(fields):
    return {f"not{name[0].upper()}{name[1:]}": part for name, part in fields.items()}


def _object(fields):
    """One or two of the fields, each with one or two texts."""
    every = {**fields, **_negated(fields)}
    return st.lists(pick(sorted(every)), min_size=1, max_size=2, unique=True).flatmap(
        lambda names: some({name: _texts(every[name]) for name in names})
    )


_accounts = st.one_of(
    *(
        some({name: _texts(pick(("web", "shop/cart", "default/webster")))})
        for name in ("serviceAccounts", "notServiceAccounts")
    )
)
_sources = st.one_of(*[_object(_SOURCE)] * 4, _accounts)
_conditions = pick(sorted(_KEYS)).flatmap(
    lambda key: pick(("values", "values", "notValues")).flatmap(
        lambda word: some({"key": st.just(key), word: _texts(_KEYS[key])})
    )
)
_rules = without_none(
    **{"from": seldom(st.lists(some({"source": _sources}), min_size=1, max_size=2))},
    to=seldom(st.lists(some({"operation": _object(_OPERATION)}), min_size=1, max_size=2)),
    when=seldom(st.lists(_conditions, min_size=1, max_size=2)),
)


@st.composite
def policy(draw, number):
    """One that holds for the workload."""
    action = draw(pick(("ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT", "CUSTOM", "CUSTOM")))
    spec = {"action": action, "rules": draw(st.lists(_rules, min_size=draw(pick((0, 1, 1))), max_size=3))}
    if action == "CUSTOM":
        spec["provider"] = {"name": draw(pick((*JUDGES, "nobody")))}
    if draw(st.booleans()):
        spec["selector"] = {"matchLabels": {"app": "web"}}
    dry = (
        {"annotations": {"istio.io/dry-run": "true"}}
        if action in {"ALLOW", "DENY"} and draw(pick((0, 0, 0, 1)))
        else {}
    )
    namespace = draw(pick(("default", "default", "istio-system")))
    return document("AuthorizationPolicy", f"p{number}", spec, namespace, API, **dry)


modes = pick(("STRICT", "PERMISSIVE", "DISABLE", "UNSET"))


@st.composite
def terms(draw):
    """PeerAuthentications that hold for the workload: of the mesh, of its namespace, and for itself."""
    found = []
    for name, namespace in (("mesh", "istio-system"), ("all", "default"), ("own", "default")):
        if draw(pick((0, 0, 1))):
            spec = {"mtls": {"mode": draw(modes)}}
            if name == "own":
                spec["selector"] = {"matchLabels": {"app": "web"}}
                numbers = draw(st.lists(pick((HTTP_PORT, TCP_PORT)), unique=True))
                spec["portLevelMtls"] = {str(number): {"mode": draw(modes)} for number in numbers}
            found.append(document("PeerAuthentication", name, spec, namespace, API))
    return found


@st.composite
def worlds(draw):
    """Some policies, and perhaps tokens that are believed and terms on which callers come."""
    found = [draw(policy(number)) for number in range(draw(st.integers(1, 4)))]
    for number, issuer in enumerate(draw(st.lists(pick(ISSUERS), max_size=2, unique=True))):
        spec = {"jwtRules": [{"issuer": issuer, "jwks": JWKS, **draw(pick(WHERE_TOKENS_ARE))}]}
        found.append(document("RequestAuthentication", f"r{number}", spec, api=API))
    return found + draw(terms())


def _with_token(draw, request, token):
    place = draw(pick(("authorization", "authorization", "x-token", "token", "access_token")))
    if place in {"authorization", "x-token"}:
        value = token if place == "x-token" else f"Bearer {token}"
        return replace(request, headers=(*request.headers, (place, value)))
    sign = "&" if "?" in request.path else "?"
    return replace(request, path=f"{request.path}{sign}{place}={token}")


@st.composite
def calls(draw):
    """A call to the workload: a request or bytes, in the mesh's TLS or without."""
    is_http = draw(pick((True, True, True, False)))
    request = draw(requests()) if is_http else None
    if request is not None and (token := draw(pick((None, None, *TOKENS, BAD)))):
        request = _with_token(draw, request, token)
    hello = None
    if draw(st.integers(0, 3)):
        identity = draw(pick(IDENTITIES))
        cluster = draw(pick(("east", "west", "")))
        names = (f"{cluster}.clusters.{identity.split('/')[2]}",) if cluster else ()
        alpn = draw(pick((*[tuple(upstream_alpn(is_http, False))] * 5, ())))
        sni = draw(pick(("outbound_.80_._.web", "other", "")))
        hello = Hello(sni=sni, alpn=alpn, identity=identity, names=names)
    return Call(
        address=ADDRESS,
        port=HTTP_PORT if is_http else TCP_PORT,
        speech=Speech.BYTES if hello is not None or not is_http else Speech.HTTP1,
        request=request,
        hello=hello,
        source=draw(pick(SOURCES)),
    )
