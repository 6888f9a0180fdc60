from __future__ import annotations

import asyncio

from isthmus.api.resource import Ref
from isthmus.discovery.registry import Claims, ClusterSpec, FixedSource, Registered, Registry, join
from isthmus.kit.tasks import supervise
from isthmus.kube.kubeconfig import Access
from isthmus.model.findings import Code, Finding


def spec(name, source="file a", server="https://a"):
    return ClusterSpec(id=name, access=Access(server=server), source=source)


def test_the_earlier_source_keeps_a_name_and_the_other_is_told():
    found = join([Claims((spec("east"),)), Claims((spec("west", "secret b"), spec("east", "secret b")))])
    assert found.specs == {"east": spec("east"), "west": spec("west", "secret b")}
    (finding,) = found.findings
    assert finding.cluster == "east"
    assert finding.message.startswith("secret b names a cluster that file a named first")


def test_findings_of_all_sources_are_kept():
    one, other = (
        Finding(ref=Ref("ClusterFile", "", name), message="is wrong", code=Code.OTHER) for name in "ab"
    )
    assert join([Claims(findings=(one,)), Claims(findings=(other,))]).findings == (one, other)


async def until(registry, condition):
    async for registered in registry.current.changes():
        if condition(registered):
            return registered
    raise AssertionError


async def test_a_change_of_any_source_is_a_change_of_the_whole():
    one, other = FixedSource(spec("east")), FixedSource()
    registry = Registry((one, other))
    async with supervise(registry.run()):
        await until(registry, lambda now: set(now.specs) == {"east"})
        other.claims.set(Claims((spec("west"),)))
        await until(registry, lambda now: set(now.specs) == {"east", "west"})
        one.claims.set(Claims())
        assert (await until(registry, lambda now: set(now.specs) == {"west"})).findings == ()


async def test_it_has_looked_when_each_source_has():
    late = FixedSource()
    late.looked.clear()
    registry = Registry((FixedSource(spec("east")), late))
    async with supervise(registry.run()):
        looked = asyncio.get_running_loop().create_task(registry.looked())
        await until(registry, lambda now: set(now.specs) == {"east"})
        assert not looked.done()
        late.claims.set(Claims((spec("west"),)))
        late.looked.set()
        await looked
        assert set(registry.current.value.specs) == {"east", "west"}


def test_nothing_is_registered_at_first():
    assert Registry((FixedSource(spec("east")),)).current.value == Registered()
