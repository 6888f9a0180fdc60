"""Whatever anybody writes, of any kind: it is read or refused, translation goes on, and Envoy takes what is sent.

Objects are the seeds, in which each field is set somewhere, with some of their values replaced: by what stands in such
a field elsewhere, by what people write by mistake, or by nothing. `ISTHMUS_EXAMPLES=20000` makes the run a long one
(`fakes/shares.py`); `EVERY_EXAMPLE_IN_ENVOY=1` lets Envoy itself look at each example in place of one in five.
"""

from __future__ import annotations

import copy
import os
from collections import defaultdict
from functools import cache
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.seeds import GKE, PROXIES, SEEDS, WORLD, read
from fakes.shares import in_shares
from fakes.told import must_be_sound
from isthmus.api import KINDS
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.translate.generation import Translator

OFTEN = 1 if os.environ.get("EVERY_EXAMPLE_IN_ENVOY") else 5
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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.is_config], ids=str)
def test_each_kind_of_configuration_has_a_seed_that_is_read(kind):
    assert any(read(kind, each) for each in SEEDS[kind])


@in_shares(40)
def test_translation_goes_on_and_envoy_takes_what_is_sent(share):
    examples = count(1)

    @given(st.lists(an_object(), min_size=1, max_size=4))
    def holds(several):
        changes = [change for each in several if (change := read(*each))]
        if not changes:
            return
        builder, translator = MeshBuilder(MeshSettings(config_cluster=GKE)), Translator()
        step = builder.apply([*WORLD, *changes])
        generation = translator.generation(step.mesh, step.delta)
        must_be_sound(generation, PROXIES, ask_envoy=next(examples) % OFTEN == 0)

    share.run(holds)
