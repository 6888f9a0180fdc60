"""Rules of RBAC filters as they can be written, far beyond what we send, and calls that meet them or nearly do."""

from __future__ import annotations

from hypothesis import strategies as st

from drawn.http_rules import pick, some
from fakes.cel_conditions import condition
from isthmus.translate.trace.call import Call, Hello, Request, Speech

DOMAIN = "spiffe://cluster.local/ns"
IDENTITIES = (
    f"{DOMAIN}/default/sa/web",
    f"{DOMAIN}/default/sa/webster",
    f"{DOMAIN}/shop/sa/cart",
    "spiffe://far.example/ns/shop/sa/cart",
)
CLUSTERS = ("east.clusters.cluster.local", "west.clusters.cluster.local")
SOURCES = ("127.1.0.1", "127.1.0.2", "127.2.9.9", "127.192.7.7")
"""Of loopback, so that whoever calls can really stand there."""
CALLED = (("10.9.0.1", 80), ("10.9.0.1", 8080), ("10.9.0.2", 80))
HOSTS = ("shop.example.com", "SHOP.example.com", "shop.example.com:80", "admin.example.com")
PATHS = (
    *("/", "/a", "/A", "/a/b", "/a/b/c", "/a/", "/admin/x", "/admin", "/reviews/7", "/reviews/7/stars"),
    *("/reviews//stars", "/a=b", "/a;v=1/b", "/a%20b", "/a.json", "/a/b.json", "/static/x/y.js"),
)
QUERIES = ("", "", "", "?q=1", "?q=/admin")
METHODS = ("GET", "POST", "DELETE", "OPTIONS")
VALUES = ("one", "One", "two", "one,two", "")
NAMES = ("x-a", "x-b")
TEMPLATES = (
    *(
        "/reviews/{id}",
        "/reviews/{id}/stars",
        "/a/*",
        "/a/**",
        "/{all=**}",
        "/*",
        "/*/b",
        "/a/{rest=**}.json",
    ),
    *("/static/{rest=**}", "/a/{x=*}/c", "/**/stars", "/{x}/{y=*}/stars", "/a.json", "/admin/*/*"),
)
REGEXES = (
    ".*",
    ".+",
    "[a-z/]+",
    "one|two",
    "spiffe://.+/ns/shop/(.+/|)sa/cart(/.+)?",
    ".*/ns/default/.*",
    "/a/[^/]*",
)


def texts(*known):
    """Matchers of texts near these."""
    parts = pick(known)
    return st.one_of(
        parts.map(lambda text: {"exact": text}),
        parts.map(lambda text: {"exact": text.swapcase(), "ignore_case": True}),
        parts.filter(bool).map(lambda text: {"prefix": text[: max(1, len(text) // 2)]}),
        parts.filter(bool).map(lambda text: {"suffix": text[-max(1, len(text) // 2) :]}),
        parts.filter(bool).map(lambda text: {"contains": text[1:-1] or text}),
        pick(REGEXES).map(lambda regex: {"safe_regex": {"regex": regex}}),
    )


def ranges(*addresses):
    lengths = pick((32, 32, 31, 24, 16, 8, 0))
    return st.builds(lambda where, n: {"address_prefix": where, "prefix_len": n}, pick(addresses), lengths)


def _header(name, matcher, invert, absent):
    return {"name": name, **matcher, **({"invert_match": True} if invert else {}), **absent}


headers = st.builds(
    _header,
    pick((*NAMES, ":method", ":authority", ":path", "X-A")),
    st.one_of(
        texts(*VALUES, *METHODS, *HOSTS).map(lambda text: {"string_match": text}),
        pick((True, False)).map(lambda present: {"present_match": present}),
    ),
    pick((False, False, True)),
    pick(({}, {}, {"treat_missing_header_as_empty": True})),
)


def combined(parts, several, no):
    """Parts alone, denied, and several together. `several` are the words for all and for any."""

    def larger(part):
        lists = st.lists(part, min_size=1, max_size=3)
        inner = {"and_rules": "rules", "or_rules": "rules", "and_ids": "ids", "or_ids": "ids"}
        return st.one_of(
            part.map(lambda one: {no: one}),
            *(lists.map(lambda found, word=word: {word: {inner[word]: found}}) for word in several),
        )

    return st.recursive(parts, larger, max_leaves=4)


def template(path):
    config = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
    name = "envoy.path.match.uri_template.uri_template_matcher"
    return {"name": name, "typed_config": {"@type": config, "path_template": path}}


def mutual(kind, text):
    config = "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config"
    asked = (
        {"san_matcher": {"san_type": kind, "matcher": text}}
        if kind
        else {"any_validated_client_certificate": True}
    )
    return {"name": "envoy.rbac.principals.mtls_authenticated", "typed_config": {"@type": config, **asked}}


_of_connections = (
    st.just({"any": True}),
    ranges("10.9.0.1", "10.9.0.2").map(lambda found: {"destination_ip": found}),
    pick((80, 8080, 81)).map(lambda port: {"destination_port": port}),
    pick(((80, 81), (1, 65535), (8000, 9000))).map(
        lambda ends: {"destination_port_range": {"start": ends[0], "end": ends[1]}}
    ),
    texts("shop.example.com", "admin.example.com", "").map(lambda text: {"requested_server_name": text}),
)
_of_requests = (
    headers.map(lambda header: {"header": header}),
    texts(*PATHS).map(lambda text: {"url_path": {"path": text}}),
    texts(*PATHS).map(lambda text: {"url_path": {"path": text}}),
    pick(TEMPLATES).map(lambda path: {"uri_template": template(path)}),
)
_callers = (
    st.just({"any": True}),
    st.just({"authenticated": {}}),
    texts(*IDENTITIES, *CLUSTERS).map(lambda text: {"authenticated": {"principal_name": text}}),
    texts(*IDENTITIES).map(lambda text: {"authenticated": {"principal_name": text}}),
    ranges(*SOURCES).map(lambda found: {"direct_remote_ip": found}),
    ranges(*SOURCES).map(lambda found: {"remote_ip": found}),
    ranges(*SOURCES).map(lambda found: {"source_ip": found}),
    texts(*IDENTITIES).map(lambda text: {"custom": mutual("URI", text)}),
    texts(*CLUSTERS).map(lambda text: {"custom": mutual("DNS", text)}),
    st.just({"custom": mutual("", None)}),
)
_callers_in_requests = (
    headers.map(lambda header: {"header": header}),
    texts(*PATHS).map(lambda text: {"url_path": {"path": text}}),
)
CONDITIONS = (
    "request.headers['x-a'] == 'one'",
    "'x-b' in request.headers",
    "request.method == 'GET' || request.path.startsWith('/a')",
    "request.url_path.matches('^/a/.*$') && !(request.host == 'admin.example.com')",
    "connection.mtls",
    "!connection.mtls",
    "connection.uri_san_peer_certificate.endsWith('/sa/cart')",
    "connection.sha256_peer_certificate_digest != '5e'",
    "has(connection.sha256_peer_certificate_digest) && connection.sha256_peer_certificate_digest in ['5e', 'a0']",
    "connection.dns_san_peer_certificate == 'east.clusters.cluster.local'",
    "connection.requested_server_name == 'shop.example.com'",
    "destination.port == 80",
    "request.headers['x-a'].size() > 2 && request.query == 'q=1'",
    "request.protocol == 'HTTP/1.1' && request.headers[':authority'].endsWith('.com')",
)
OF_CONNECTIONS = tuple(each for each in CONDITIONS if "request" not in each or "requested_server" in each)


def policies(*, http):
    """Policies by name."""
    permissions = combined(
        st.one_of(*_of_connections, *(_of_requests if http else ())), ("and_rules", "or_rules"), "not_rule"
    )
    principals = combined(
        st.one_of(*_callers, *(_callers_in_requests if http else ())), ("and_ids", "or_ids"), "not_id"
    )
    known = CONDITIONS if http else OF_CONNECTIONS
    policy = some(
        {
            "permissions": st.lists(permissions, min_size=1, max_size=2),
            "principals": st.lists(principals, min_size=1, max_size=2),
        }
    )
    conditional = st.builds(lambda one, text: {**one, "condition": condition(text)}, policy, pick(known))
    named = pick(("a", "b", "Z", "ns[x]-policy[p]-rule[0]", "ns[x]-policy[p]-rule[10]"))
    return st.dictionaries(named, st.one_of(policy, policy, policy, conditional), max_size=3)


def rules(*, http):
    """Rules of one action."""
    return st.builds(
        lambda action, found: {"action": action, "policies": found},
        pick(("ALLOW", "ALLOW", "DENY", "DENY", "LOG")),
        policies(http=http),
    )


@st.composite
def calls(draw, *, http):
    """A call from somebody to somewhere, as a request or as bytes."""
    address, port = draw(pick(CALLED))
    hello = None
    if draw(st.integers(0, 3)):
        identity = draw(pick((*IDENTITIES, *IDENTITIES, "")))
        names = (draw(pick(CLUSTERS)),) if identity and draw(st.booleans()) else ()
        sni = draw(pick(("", "shop.example.com", "admin.example.com")))
        hello = Hello(sni=sni, identity=identity, names=names)
    request = draw(requests()) if http else None
    speech = Speech.BYTES if hello is not None or not http else Speech.HTTP1
    return Call(
        address=address, port=port, speech=speech, request=request, hello=hello, source=draw(pick(SOURCES))
    )


@st.composite
def requests(draw):
    """A request with headers that rules may ask for."""
    found = {name: draw(pick(VALUES)) for name in draw(st.lists(pick(NAMES), max_size=2, unique=True))}
    if draw(st.integers(0, 3)) == 0:
        several = draw(st.lists(pick((*SOURCES, "unknown", "")), min_size=1, max_size=3))
        found["x-forwarded-for"] = ", ".join(several)
    return Request(
        method=draw(pick(METHODS)),
        host=draw(pick(HOSTS)),
        path=draw(pick(PATHS)) + draw(pick(QUERIES)),
        headers=tuple(sorted(found.items())),
    )
