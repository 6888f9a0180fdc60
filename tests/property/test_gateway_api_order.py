"""What the Gateway API comes to does not depend on the order in which its objects are found, nor can any crash it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drawn.gateway_api_objects import beside, changes, gateways_and_routes
from fakes.gateway_api import CLASS, USUAL, derived, objects, outside, result_of, sources
from isthmus.api import kind_of_type
from isthmus.api.istio.mesh_config import MeshConfig
from isthmus.api.validate import problems as istio_problems
from isthmus.model.derived import Derived, Sources
from isthmus.model.mesh import MeshSettings


def world_of(kept, around):
    """All that may be looked up: the objects `kept`, and a part of what is usual."""
    services = {key: each for key, each in USUAL["services"].items() if key in around["services"]}
    own = {("default", "web-istio"): outside(*around["addresses"])} if around["addresses"] else {}
    settings = MeshSettings(written=MeshConfig(ingress_controller_mode=around["mode"]))
    known = {name: around[name] for name in ("certificates", "authorities")}
    return sources(kept.values(), services=services, own_services=own, settings=settings, **known)


def known_of(result):
    """The parts of a result; a cell is made again in another order than at first, so its findings are sorted."""
    return result._replace(
        findings=sorted(result.findings, key=lambda each: (each.ref, each.path, each.message))
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(changes, beside), max_size=5))
def test_step_by_step_is_from_nothing(steps):
    kept, made, before = {}, Derived(MeshSettings()), Sources({}, {}, {}, MeshSettings())
    for some, around in steps:
        for found, stays in some:
            ref = kind_of_type(type(found)).ref(found.metadata)
            kept.pop(ref, None)
            if stays:
                kept[ref] = found
        world = world_of(kept, around)
        changed = {
            ref
            for ref in world.objects.keys() | before.objects.keys()
            if world.objects.get(ref) != before.objects.get(ref)
        }
        services = {
            key for key in USUAL["services"] if world.services.get(key) is not before.services.get(key)
        }
        objects_before, statuses_before = made.objects, made.statuses
        moved = made.follow(changed, services, world)
        assert moved.objects == differing(objects_before, made.objects)
        assert moved.statuses == differing(statuses_before, made.statuses)
        fresh = Derived(world.settings)
        fresh.follow(world.objects, world.services, world)
        assert known_of(result_of(made)) == known_of(result_of(fresh))
        assert (made.grants, set(made.credentials)) == (fresh.grants, set(fresh.credentials))
        before = world


def differing(before, after):
    return {ref for ref in before.keys() | after.keys() if before.get(ref) is not after.get(ref)}


found = st.lists(
    gateways_and_routes,
    max_size=7,
    unique_by=lambda each: (type(each), each.metadata.namespace, each.metadata.name),
)


@settings(max_examples=150, deadline=None)
@given(found, st.randoms(use_true_random=False))
def test_the_order_of_objects_does_not_matter(some, random):
    some = [*objects(CLASS), *some]
    other = list(some)
    random.shuffle(other)
    assert result_of(derived(some)) == result_of(derived(other))


@settings(max_examples=150, deadline=None)
@given(found)
def test_what_is_made_is_right_by_the_rules_of_its_own_kind(some):
    result = result_of(derived([*objects(CLASS), *some]))
    made = (*result.gateways, *result.virtual_services, *result.destination_rules)
    wrong = [problem for each in made for problem in istio_problems(each)]
    # A TLSRoute of a Service may be for server names that the Service has not: people cannot write that.
    assert not [(path, message) for path, message in wrong if ".sniHosts" not in path]
    names = [(type(each), each.metadata.namespace, each.metadata.name) for each in made]
    assert len(names) == len(set(names))
