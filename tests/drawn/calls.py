"""Calls that meet a condition of drawn rules, or fail it by one word."""

from __future__ import annotations

from hypothesis import strategies as st

from drawn.http_rules import NAMES, ORIGINS, PATHS, REGEXES, TEXT_REGEXES, TEXTS, VARIANTS, pick
from drawn.worlds import VIPS
from isthmus.translate.trace.call import Call, Request

UNKNOWN = "10.9.9.9"
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
ODD_METHODS = ("get", "PURGE", "FETCH", "TRACE")


def meeting(text, regexes=TEXT_REGEXES):
    """Texts that a StringMatch takes, and some that it does not."""
    match text:
        case {"exact": wanted}:
            return pick((wanted, wanted, wanted, wanted + "x", wanted[:-1], wanted.upper()))
        case {"prefix": wanted}:
            return pick((wanted, wanted + "x", wanted + "/", wanted[:-1], wanted.swapcase()))
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
    odd = draw(st.integers(0, 11))  # what else is unlike anything that is written
    if odd == 4:  # what follows the method is then the host, and never without its port
        return Request(method="CONNECT", host=f"{host.partition(':')[0]}:80", path="")
    return Request(
        method=draw(pick(ODD_METHODS)) if odd == 0 else method or "GET",
        host=draw(pick(ODD_HOSTS)) if odd == 1 else host,
        path=(draw(pick(ODD_PATHS)) if odd == 2 else path or "/")
        + (draw(pick(ODD_QUERIES)) if odd in {3, 2} else query.rstrip("?")),
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
    return Call(address=address, port=draw(pick((80, 80, 80, 8080))), request=request, source="10.2.9.9")
