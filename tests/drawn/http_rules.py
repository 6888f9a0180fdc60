"""The `http` part of VirtualServices, in every field that has a say in where a request goes and what it becomes."""

from __future__ import annotations

from hypothesis import strategies as st

some = st.fixed_dictionaries
pick = st.sampled_from


def seldom(strategy):
    """`strategy` once in four times, else None."""
    return st.one_of(st.none(), st.none(), st.none(), strategy)


def without_none(**strategies):
    """A dictionary of those that draw something."""
    return some(strategies).map(lambda found: {key: each for key, each in found.items() if each is not None})


PATHS = ("/", "/a", "/a/", "/a/b", "/api", "/api/v1", "/A/b", "/12", "/a.b")
REGEXES = {
    "/[0-9]+": ("/1", "/12", "/12/", "/1a"),
    "/a(/.*)?": ("/a", "/a/", "/a/b/c", "/ab"),
    ".*\\.(gif|jpg)": ("/x.gif", "/a/b.jpg", "/x.gifs", "/xgif"),
    "/(?i)API/.*": ("/api/v1", "/Api/", "/api"),
    "a": ("/a", "a"),
    ".*": ("/", "/anything"),
}
"""Of paths, each with texts that it fits and that it does not."""
NAMES = ("x-a", "x-b", "x-c", "end-user", "cookie")
TEXTS = ("one", "two", "One", "on", "prefix-one", "1", "a,b")
TEXT_REGEXES = {
    "one|two": ("one", "two", "three"),
    "o.*": ("one", "two"),
    "[0-9]+": ("1", "23", "1a"),
    ".*": ("", "x"),
}
QUERIES = ("q", "lang", "flag")
VARIANTS = ("GET", "POST", "DELETE", "OPTIONS", "HEAD")

uris = st.one_of(
    some({"exact": pick(PATHS)}),
    some({"prefix": pick(PATHS)}),
    some({"regex": pick(sorted(REGEXES))}),
)
texts = st.one_of(
    some({"exact": pick(TEXTS)}),
    some({"prefix": pick(TEXTS)}),
    some({"regex": pick(sorted(TEXT_REGEXES))}),
    st.just({}),
)
methods = st.one_of(some({"exact": pick(VARIANTS)}), st.just({"prefix": "P"}), st.just({"regex": "GET|POST"}))
authorities = st.one_of(
    some({"exact": pick(("alpha", "alpha:80", "shop.example.com", "Shop.Example.com"))}),
    some({"prefix": pick(("shop", "al", "beta.default"))}),
    some({"regex": pick((".*:80", "[a-z]+", "shop\\..*"))}),
)
header_matches = st.dictionaries(pick(NAMES), texts, min_size=1, max_size=2)
matches = without_none(
    name=seldom(pick(("first", "second"))),
    uri=st.one_of(uris, uris, uris, st.none()),
    ignoreUriCase=seldom(st.booleans()),
    headers=seldom(header_matches),
    withoutHeaders=seldom(header_matches),
    queryParams=seldom(st.dictionaries(pick(QUERIES), texts, min_size=1, max_size=2)),
    method=seldom(methods),
    authority=seldom(seldom(authorities)),
    scheme=seldom(seldom(some({"exact": pick(("http", "https"))}))),
    port=seldom(pick((80, 8080))),
    sourceLabels=seldom(pick(({"app": "caller"}, {"app": "other"}, {"app": "caller", "version": "v2"}))),
    sourceNamespace=seldom(pick(("default", "shop"))),
    gateways=seldom(pick((["mesh"], ["edge"], ["mesh", "edge"]))),
).filter(bool)

SPOKEN_OF = "x-c"
"""The header of requests that values of others speak of."""
CHANGED = ("x-a", "x-b", "x-new", "end-user", SPOKEN_OF)
"""Headers that rules may change, and that one."""
changes = st.dictionaries(
    pick(("x-a", "x-b", "x-new", "end-user", "X-New")),
    pick(("one", "set, twice", "100%% of it", "from %REQ(x-c)%")),
    max_size=2,
)
operations = without_none(
    set=seldom(changes),
    add=seldom(changes),
    remove=seldom(st.lists(pick(("x-a", "X-B", "end-user", "user-agent")), min_size=1, max_size=2)),
)
with_host = operations | st.builds(
    lambda own, name: {**own, "set": {**own.get("set", {}), name: "set.example.com"}},
    operations,
    pick(("host", ":authority", "Host")),
)
headers = some({"request": with_host, "response": operations})

SERVICES = ("alpha", "beta", "gamma", "delta")
hosts = pick(
    (*SERVICES, "alpha.default.svc.cluster.local", "store.shop.svc.cluster.local", "api.example.com", "gone")
)
destinations = without_none(
    host=hosts, subset=seldom(pick(("v1", "v2", "v3"))), port=seldom(some({"number": pick((80, 8080))}))
)
shares = st.one_of(
    st.lists(some({"destination": destinations}, optional={"headers": headers}), min_size=1, max_size=1),
    st.lists(
        some({"destination": destinations, "weight": pick((0, 1, 50, 100))}, optional={"headers": headers}),
        min_size=2,
        max_size=3,
    ).filter(lambda several: any(each["weight"] for each in several)),
)
rewrites = st.one_of(
    some({"uri": pick(("/", "/new", "/new/", "/n?x=y"))}),
    some({"uri": pick(("/", "/new")), "authority": pick(("other.example.com", "o.example.com:81"))}),
    some({"authority": st.just("other.example.com")}),
    some(
        {
            "uriRegexRewrite": pick(
                (
                    {"match": "^/a/(.*)$", "rewrite": "/\\1"},
                    {"match": "/([a-z]+)", "rewrite": "/<\\1>"},
                    {"match": "a*", "rewrite": "-"},
                    {"match": "/api", "rewrite": "/"},
                )
            )
        }
    ),
)
redirects = without_none(
    uri=st.none() | pick(("/moved", "/moved?x=y", "/")),
    authority=seldom(pick(("new.example.com", "new.example.com:82"))),
    scheme=seldom(pick(("http", "https"))),
    redirectCode=seldom(pick((301, 302, 303, 307, 308))),
    port=seldom(pick((80, 81, 443))),
).filter(lambda found: found.keys() - {"redirectCode"}) | without_none(
    authority=st.just("new.example.com"),
    scheme=seldom(pick(("http", "https"))),
    derivePort=pick(("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT")),
)
answers = some(
    {"status": pick((200, 204, 404, 418, 503))},
    optional={"body": pick(({"string": "no"}, {"bytes": "bm8="}))},
)
whole = st.one_of(st.just({}), st.just({"percentage": {"value": 100}}))
mirrors = st.lists(
    st.builds(lambda where, part: {"destination": where, **part}, destinations, whole), min_size=1, max_size=2
)
shares_of_faults = st.one_of(
    whole, st.just({"percentage": {"value": 0}}), st.just({"percentage": {"value": 50}})
)
faults = without_none(
    abort=st.builds(
        lambda what, part: {**what, **part},
        pick(({"httpStatus": 418}, {"httpStatus": 503}, {"grpcStatus": "UNAVAILABLE"})),
        shares_of_faults,
    )
    | st.none(),
    delay=seldom(st.just({"fixedDelay": "0.01s", "percentage": {"value": 100}})),
).filter(bool)
retries = without_none(
    attempts=pick((0, 1, 2, 3)),
    retryOn=pick((None, "5xx", "503", "gateway-error", "reset", "connect-failure,503", "retriable-4xx")),
    backoff=st.just("0.001s"),
    retryIgnorePreviousHosts=seldom(st.booleans()),
)
ORIGINS = ("https://a.example.com", "https://b.example.com", "http://x.org", "null")
origins = st.one_of(
    some({"exact": pick(ORIGINS)}),
    some({"prefix": pick(("https://", "https://a"))}),
    some({"regex": pick((".*\\.example\\.com", "https?://x\\.org"))}),
)
cors = without_none(
    allowOrigins=st.lists(origins, min_size=1, max_size=2),
    allowMethods=st.just(["GET", "POST"]),
    allowHeaders=seldom(st.just(["x-a"])),
    maxAge=seldom(st.just("24h")),
    allowCredentials=seldom(st.booleans()),
    unmatchedPreflights=seldom(pick(("UNSPECIFIED", "FORWARD", "IGNORE"))),
)
own_matches = st.lists(matches, min_size=1, max_size=3)
conduct = {
    "rewrite": seldom(rewrites),
    "mirrors": seldom(mirrors),
    "fault": seldom(faults),
    "retries": seldom(retries),
    "corsPolicy": seldom(cors),
    "timeout": seldom(pick(("0s", "0.3s", "30s"))),
}
forwards = without_none(match=own_matches, route=shares, headers=seldom(headers), **conduct)
rules = st.one_of(
    forwards,
    forwards,
    forwards,
    without_none(match=own_matches, redirect=redirects, headers=seldom(headers)),
    without_none(match=own_matches, directResponse=answers, headers=seldom(headers)),
)
usual = without_none(route=shares, **conduct)
"""A rule without conditions, as people write it last."""
several = st.builds(
    lambda many, last: [*many, *([last] if last else [])],
    st.lists(rules, min_size=1, max_size=5),
    st.one_of(st.none(), usual, usual, usual),
)
"""The rules of one VirtualService."""
