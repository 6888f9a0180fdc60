"""Calls that meet a condition of drawn rules, or fail it by one word."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from drawn import connection_rules
from drawn.http_rules import NAMES, ORIGINS, PATHS, REGEXES, TEXT_REGEXES, TEXTS, VARIANTS, pick
from drawn.worlds import VIPS
from isthmus.translate.trace.call import Call, Hello, Request, Speech

UNKNOWN = "10.9.9.9"
ADDRESSES = ("10.1.1.1", "10.1.1.3", "192.0.2.7", "192.0.2.200", "198.51.100.7", "203.0.113.9", UNKNOWN)
ODD_PATHS = (
    *(
        "//a",
        "/a//b",
        "/./a",
        "/x/../a",
        "/%61",
        "/a%2Fb",
        "\\a",
        "/..;x/a",
        "/a^|",
        "/%zz",
        "*",
        "a",
        "/a#b",
    ),
    *("/A", "/API/V1", "/a/b/", "/12/", "/%2e%2e;x"),
)
ODD_QUERIES = (
    "",
    "",
    "?",
    "?q=one",
    "?q=two&q=one",
    "?lang=",
    "?flag",
    "?q=%31",
    "?a=/a/b",
    "?x?q=one",
    "?Q=one",
)
ODD_HOSTS = (
    "unknown",
    "unknown.example.org:80",
    "10.1.0.1",
    "10.1.0.2:80",
    "[::1]:80",
    ".example.com",
    "example.com",
)
ODD = ("method", "host", "path", "query", "connect")
ODD_METHODS = ("get", "PURGE", "FETCH", "TRACE")


def meeting(text, regexes=TEXT_REGEXES):
    """Texts that a StringMatch takes, and some that it does not."""
    match text:
        case {"exact": wanted}:
            return pick((*[wanted] * 6, wanted + "x", wanted[:-1], wanted.upper()))
        case {"prefix": wanted}:
            return pick((wanted, wanted + "x", wanted + "/", wanted + "y", wanted[:-1], wanted.swapcase()))
        case {"regex": wanted}:
            return pick(regexes.get(wanted, ("one", "GET", "alpha:80", "shop.example.com")))
    return pick(("", "one", "two"))


def names_of(host):
    """How callers may write a host of a rule."""
    if host.startswith("*"):
        return pick((f"x{host[1:]}", f"y.z{host[1:]}", host[2:], host[1:], f"x{host[1:]}".upper()))
    short = host.split(".")[0]
    usual = [host, host, f"{host}:80", f"{host}:8080", host.upper(), f"{host}.", f"x{host}"]
    if short in VIPS:
        namespace = "shop" if short == "store" else "default"
        several = (
            short,
            f"{short}.{namespace}",
            f"{short}.{namespace}.svc",
            f"{short}.{namespace}.svc.cluster.local",
        )
        usual += [*several, VIPS[short], f"{short}.{namespace}:80"]
    return pick(usual)


@st.composite
def near(draw, documents):
    """A request and its port: near one condition of one of the VirtualServices, or quite another."""
    rules = [each for each in documents if each["kind"] == "VirtualService" and each["spec"].get("hosts")]
    spec = draw(pick(rules))["spec"]
    host = draw(names_of(draw(pick(spec["hosts"]))))
    entry = draw(pick(_entries(spec, documents)))
    match = draw(pick(entry.get("match") or [{}]))
    path = draw(meeting(match["uri"], REGEXES) if "uri" in match else pick(PATHS))
    query = "?" + "&".join(
        f"{name}={draw(meeting(text))}" for name, text in match.get("queryParams", {}).items()
    )
    said = {name: draw(meeting(text)) for name, text in match.get("headers", {}).items()}
    for name in draw(st.lists(pick((*NAMES, *match.get("withoutHeaders", {}))), max_size=2)):
        said.setdefault(name, draw(pick(TEXTS)))
    method = draw(meeting(match["method"])) if "method" in match else draw(pick(VARIANTS))
    if "authority" in match:
        host = draw(meeting(match["authority"]))
    if "corsPolicy" in entry and draw(st.booleans()):
        said["origin"] = draw(pick(ORIGINS))
        method = draw(pick(("OPTIONS", "OPTIONS", method)))
        said |= draw(pick(({"access-control-request-method": "GET"}, {})))
    said |= _mishap(draw, entry)
    odd = draw(pick((*[None] * 8, *ODD)))  # what else is unlike anything that is written
    if odd == "connect":  # what follows the method is then the host, and never without its port
        return Request(method="CONNECT", host=f"{host.partition(':')[0]}:80", path="")
    return Request(
        method=draw(pick(ODD_METHODS)) if odd == "method" else method or "GET",
        host=draw(pick(ODD_HOSTS)) if odd == "host" else host,
        path=(draw(pick(ODD_PATHS)) if odd == "path" else path or "/")
        + (draw(pick(ODD_QUERIES)) if odd in {"query", "path"} else query.rstrip("?")),
        headers=tuple(sorted(said.items())),
    )


def _entries(spec, documents):
    found = []
    for each in spec["http"]:
        inner = each.get("delegate", {}).get("name")
        found += (
            [each]
            if not inner
            else next(one["spec"]["http"] for one in documents if one["metadata"]["name"] == inner)
        )
    return found


def _mishap(draw, entry):
    """The application refuses at first, or lets its caller wait, where the rule has something to say of it."""
    if "retries" in entry and draw(st.booleans()):
        return {"x-fail": str(draw(st.integers(1, 3)))}
    if entry.get("timeout") == "0.3s" and draw(st.integers(0, 7)) == 0:
        return {"x-wait": "1"}
    return {}


@st.composite
def captured(draw, documents):
    """A call of an application beside its sidecar."""
    request = draw(near(documents))
    short = request.host.split(":")[0].split(".")[0].lower()
    address = draw(pick((VIPS.get(short, UNKNOWN),) * 4 + (UNKNOWN, VIPS["alpha"])))
    speech = draw(pick((Speech.HTTP1, Speech.HTTP1, Speech.HTTP2)))
    port = draw(pick((80, 80, 80, 8080)))
    return Call(address=address, port=port, speech=speech, request=request, source="10.2.9.9")


def server_names(host):
    """Server names that are near one of a rule."""
    if host.startswith("*"):
        return pick((f"x{host[1:]}", f"x.y{host[1:]}", f"z{host[1:]}", host[2:], f"X{host[1:]}".upper()))
    return pick((host, host, f"{host}.default.svc.cluster.local", f"x{host}", host.upper()))


@st.composite
def connections(draw, documents):
    """A call of an application beside its sidecar that may be no request: bytes, TLS, or HTTP."""
    rules = [each["spec"] for each in documents if each["kind"] == "VirtualService"]
    spec = draw(pick(rules))
    parts = [
        match for kind in ("tcp", "tls") for each in spec.get(kind, ()) for match in each.get("match", ())
    ]
    match = draw(pick(parts or [{}]))
    host = draw(pick(match.get("sniHosts") or spec["hosts"]))
    short = draw(pick((*[host] * 5, *connection_rules.PORTS)))
    usual_ports = {"ranges.example.com": 5432, "192.0.2.7": 5432, "fixed.example.com": 3306}
    ports = [
        number for _, number in connection_rules.PORTS.get(short, ((None, usual_ports.get(short, 443)),))
    ]
    usual = connection_rules.VIPS.get(short, draw(pick(ADDRESSES)))
    near = [subnet.partition("/")[0] for subnet in match.get("destinationSubnets", ()) if subnet[0] != "0"]
    call = Call(
        address=draw(pick((*[usual] * 9, *near, *ADDRESSES))),
        port=draw(pick((*ports * 4, match.get("port", ports[0]), *(443, 3306, 5432, 7000)))),
        speech=Speech.BYTES,
        source=draw(pick(("10.2.9.9", "10.2.9.8", "172.16.0.1", "10.9.0.1"))),
    )
    kind = draw(
        pick(("tls", "bytes", "http") if "tls" not in spec else ("tls", "tls", "tls", "bytes", "http"))
    )
    if kind == "http":
        return replace(call, speech=Speech.HTTP1, request=Request(host=short.removeprefix("*."), path="/a"))
    alpn = draw(pick(((), ("h2", "http/1.1"), ("http/1.1",), ("istio", "h2"))))
    return (
        replace(call, hello=Hello(sni=draw(server_names(host)).lower(), alpn=alpn)) if kind == "tls" else call
    )
