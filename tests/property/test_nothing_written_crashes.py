"""Whatever anybody writes, of any kind: it is read or refused, translation goes on, and Envoy takes what is sent.

Objects are the seeds, in which each field is set somewhere, with some of their values replaced: by what stands in such
a field elsewhere, by what people write by mistake, or by nothing. `ISTHMUS_EXAMPLES=20000` makes the run a long one
(`fakes/shares.py`); `EVERY_EXAMPLE_IN_ENVOY=1` lets Envoy itself look at each example in place of one in five.
"""

from __future__ import annotations

import os
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn.written import an_object
from fakes.seeds import GKE, PROXIES, SEEDS, WORLD, read
from fakes.shares import in_shares
from fakes.told import must_be_sound
from isthmus.api import KINDS
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.translate.generation import Translator

OFTEN = 1 if os.environ.get("EVERY_EXAMPLE_IN_ENVOY") else 5


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
