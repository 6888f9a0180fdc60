"""In which order objects are met does not matter: who counts first is said by age and name, never by chance."""

from __future__ import annotations

import copy

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.bookinfo import BOOKINFO, objects
from fakes.seeds import GKE, PROXIES, SEEDS, WORLD, read
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.translate.generation import Translator
from isthmus.translate.types import TYPES

FAR = objects(gke=[], onprem=BOOKINFO["onprem"])
NAMES, NAMESPACES = "abc", ("default", "default", "other", "istio-system")
AGES = ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z")


@st.composite
def rivals(draw):
    """Objects of a few kinds, of names and ages that they may share: many of them are for the same hosts and pods."""
    kinds = draw(st.lists(st.sampled_from(list(SEEDS)), min_size=1, max_size=4))
    found = {}
    for _ in range(draw(st.integers(2, 12))):
        kind = draw(st.sampled_from(kinds))
        made = copy.deepcopy(draw(st.sampled_from(SEEDS[kind])))
        if kind.is_config:
            own = draw(st.sampled_from([made["metadata"]["name"], *NAMES]))
            made["metadata"] |= {"name": own, "creationTimestamp": draw(st.sampled_from(AGES))}
        if kind.is_config and kind.namespaced:
            made["metadata"]["namespace"] = draw(st.sampled_from(NAMESPACES))
        if (change := read(kind, made)) is not None:
            found[change.key] = change
    return list(found.values())


def told(batches):
    """What all proxies are told of all batches, and what is found wrong."""
    builder, translator = MeshBuilder(MeshSettings(config_cluster=GKE)), Translator()
    for batch in batches:
        step = builder.apply(batch)
    generation = translator.generation(step.mesh, msgspec.structs.replace(step.delta, everything=True))
    found = {
        (proxy.name, url, one.name): one.body
        for proxy in PROXIES
        for url in TYPES
        for one in generation.resources(proxy, url, None)
    }
    return found, sorted(str(each) for each in (*step.mesh.findings, *generation.findings))


@settings(max_examples=60)
@given(rivals(), st.randoms(use_true_random=False))
def test_in_one_batch(some, random):
    changes = [*WORLD, *FAR, *some]
    other = random.sample(changes, len(changes))
    assert told([changes]) == told([other])


@settings(max_examples=60)
@given(rivals(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_one_after_the_other(some, random, size):
    changes = [*WORLD, *FAR, *some]
    other = random.sample(changes, len(changes))
    assert told([changes]) == told([other[at : at + size] for at in range(0, len(other), size)])
