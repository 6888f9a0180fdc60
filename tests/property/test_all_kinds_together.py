"""Hundreds of objects, each right by itself: in any company translation goes on, and no step touches too little."""

from __future__ import annotations

import os
from functools import cache
from itertools import count

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fakes.seeds import GKE, PROXIES, SEEDS, WORLD, read
from fakes.shares import in_shares
from fakes.told import differing, must_be_sound, told
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.translate.generation import Translator

OFTEN = 1 if os.environ.get("EVERY_EXAMPLE_IN_ENVOY") else 10
OBJECTS, STEPS = 200, 4
NAMES = ("", "-2", "-3")
"""What is added to objects' names: those that are called alike follow each other, as versions of one."""


@cache
def right():
    """The objects of all kinds that are read, and of each that it is gone."""
    found = [(kind, each) for kind, several in SEEDS.items() for each in several if read(kind, each)]
    return [(*each, is_there) for each in found for is_there in (True, True, True, False)]


@st.composite
def a_change(draw):
    kind, document, is_there = draw(st.sampled_from(right()))
    change = read(kind, document)
    meta = change.value.metadata
    if kind.name != "ConfigMap":
        meta = msgspec.structs.replace(meta, name=meta.name + draw(st.sampled_from(NAMES)))
    key = ChangeKey(GKE, kind.ref(meta))
    return Change(key, msgspec.structs.replace(change.value, metadata=meta) if is_there else None)


@in_shares(4)
def test_objects_that_are_right_get_on_with_each_other(share):
    examples = count(1)

    @given(st.lists(st.none() | a_change(), min_size=OBJECTS, max_size=OBJECTS))
    def holds(drawn):
        changes = [each for each in drawn if each]
        builder, translator = MeshBuilder(MeshSettings(config_cluster=GKE)), Translator()
        first = builder.apply(WORLD)
        held = told(translator.generation(first.mesh, first.delta), PROXIES)
        at_once = len(changes) // STEPS + 1
        for begin in range(0, len(changes), at_once):
            step = builder.apply(changes[begin : begin + at_once])
            generation = translator.generation(step.mesh, step.delta)
            before, held = held, told(generation, PROXIES)
            for (proxy, type_url), now in held.items():
                touched = generation.touched(proxy, type_url)
                assert touched is None or differing(before[proxy, type_url], now) <= touched, (
                    proxy.name,
                    type_url,
                )
            must_be_sound(generation, PROXIES, ask_envoy=next(examples) % OFTEN == 0)

    share.run(holds)
