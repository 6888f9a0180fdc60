"""Objects of our kinds as people write them, with some of their values replaced.

They are the seeds, in which each field is set somewhere; what replaces a value is what stands in such a field
elsewhere, what people write by mistake, or nothing.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from functools import cache

from hypothesis import strategies as st

from fakes.seeds import SEEDS

TEXTS = (
    *("", " ", "\x00", "é\n", "%", "%REQ(", "a/b/c", "-1", "9" * 40, "🦉", "(", "[", "\\1", "*"),
    *("*.example.com", "a..b", "x" * 300, "/", "/a", ".*", "a{9999}", "1s", "0s", "1ns", "-1s", "soon"),
    *("9" * 30 + "s", "10.0.0.1", "::1", "10.0.0.0/99", "unix://", "unix:///a", "127.0.0.1:80", "mesh"),
    *(".", "~", "shop", "db", "reviews", "v1", "TCP", ":path", "Host", "@request.auth.claims"),
    *("@request.auth.claims.sub", "bad header", "5xx", "99", "HTTP", "TLS"),
)
NUMBERS = (
    *(0, 1, 2, 50, 80, 100, 301, 503, 3306, 9080, 15001, 15006, 65535, 65536, -1, 2**31, 2**32, 2**63),
    *(0.5, 1e300),
)
STRANGE = (None, True, [], {}, [[]], {"a": {}}, [None], "", 7)


def leaves(value, at=()):
    """The paths of all values within a value, the inner ones too."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*at, key)
        yield from leaves(each, (*at, key))


@cache
def elsewhere():
    """What stands in fields of each name in any golden."""
    found = defaultdict(list)
    for each in (each for several in SEEDS.values() for each in several):
        for path in leaves(each["spec"]):
            value = each["spec"]
            for key in path:
                value = value[key]
            found[path[-1]].append(value)
    return found


@st.composite
def an_object(draw):
    """An object of some golden, with at most three of its values replaced, doubled or taken away."""
    kind = draw(st.sampled_from(list(SEEDS)))
    made = copy.deepcopy(draw(st.sampled_from(SEEDS[kind])))
    for _ in range(draw(st.integers(0, 3))):
        paths = list(leaves(made["spec"]))
        if not paths:
            break
        *way, last = draw(st.sampled_from(paths))
        place = made["spec"]
        for key in way:
            place = place[key]
        match draw(st.sampled_from(("elsewhere", "text", "number", "strange", "gone", "twice"))):
            case "elsewhere":
                place[last] = copy.deepcopy(draw(st.sampled_from(elsewhere()[last] or [""])))
            case "text":
                place[last] = draw(st.sampled_from(TEXTS))
            case "number":
                place[last] = draw(st.sampled_from(NUMBERS))
            case "strange":
                place[last] = copy.deepcopy(draw(st.sampled_from(STRANGE)))
            case "gone":
                del place[last]
            case "twice" if isinstance(place, list):
                place.append(copy.deepcopy(place[last]))
    return kind, made
