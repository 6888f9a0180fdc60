from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.namespace import Namespace
from isthmus.api.resource import Meta, Ref
from isthmus.ca.roots import CONFIG_MAP, KEY, Published, RootPublisher
from isthmus.kit.clock import ManualClock
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.errors import NotFound, Unreachable

ROOTS = Published(b"the root", "a CA")
WRITTEN = {KEY: "the root", "issuer": "a CA"}


class FakeCluster:
    """Namespaces and their ConfigMaps, told to the publisher as informers would."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.publisher = RootPublisher(self.write, ROOTS, self.clock, "istio-system")
        self.held: dict[str, Mapping[str, str]] = {}
        self.writes: list[str] = []
        self.away = False
        self.ours = Watchable(True)
        self.gone: set[str] = set()

    async def write(self, namespace: str, data: Mapping[str, str]) -> None:
        self.writes.append(namespace)
        if self.away:
            raise Unreachable("no answer")
        if namespace in self.gone:
            raise NotFound(404, "NotFound", "no such namespace")
        self.held[namespace] = data

    def namespace(self, name: str, ends: str | None = None) -> None:
        meta = Meta(name=name, deletion_timestamp=ends)
        self.publisher.namespace_seen(Ref("Namespace", "", name), Namespace(metadata=meta))

    def config_map(self, namespace: str, data: dict[str, str] | None) -> None:
        now = (
            None
            if data is None
            else ConfigMap(metadata=Meta(name=CONFIG_MAP, namespace=namespace), data=data)
        )
        self.publisher.config_map_seen(Ref("ConfigMap", namespace, CONFIG_MAP), now)


@asynccontextmanager
async def cluster_with(*namespaces: str) -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster()
    for name in namespaces:
        cluster.namespace(name)
    async with supervise(cluster.publisher.run(cluster.ours)):
        await cluster.clock.advance(0)
        yield cluster


async def test_every_namespace_gets_the_root_once():
    async with cluster_with("default", "istio-system") as cluster:
        assert cluster.held == {"default": WRITTEN, "istio-system": WRITTEN}
        cluster.namespace("default")
        cluster.namespace("late")
        await cluster.clock.advance(0)
        assert cluster.writes == ["istio-system", "default", "late"]


async def test_what_is_there_already_is_not_written():
    cluster = FakeCluster()
    cluster.config_map("default", WRITTEN)
    cluster.namespace("default")
    async with supervise(cluster.publisher.run(cluster.ours)):
        await cluster.clock.advance(0)
    assert cluster.writes == []


async def test_what_others_change_or_delete_is_mended():
    async with cluster_with("default") as cluster:
        for other in (WRITTEN | {KEY: "another root"}, WRITTEN | {"issuer": "another"}, {}, None):
            cluster.config_map("default", other)
            await cluster.clock.advance(0)
            assert cluster.held["default"] == WRITTEN
        assert cluster.writes == ["default"] * 5


async def test_a_new_root_is_written_everywhere_and_so_is_a_new_ca_under_the_same():
    async with cluster_with("a", "b") as cluster:
        for roots, issuer in ((b"a new root", "a CA"), (b"a new root", "a new CA")):
            cluster.publisher.publish(Published(roots, issuer))
            await cluster.clock.advance(0)
            written = {KEY: roots.decode(), "issuer": issuer}
            assert cluster.held == {"a": written, "b": written}


async def test_a_namespace_on_its_way_out_is_left_alone():
    async with cluster_with("a") as cluster:
        cluster.namespace("b", ends="2026-01-01T00:00:00Z")
        cluster.gone.add("c")
        cluster.namespace("c")
        await cluster.clock.advance(60)
        assert cluster.held.keys() == {"a"}
        assert cluster.writes == ["a", "c"]


async def test_an_api_server_that_is_away_is_tried_again():
    async with cluster_with() as cluster:
        cluster.away = True
        cluster.namespace("a")
        await cluster.clock.advance(5)
        tries = len(cluster.writes)
        assert tries > 1
        cluster.away = False
        await cluster.clock.advance(30)
        assert cluster.held["a"] == WRITTEN


async def test_while_another_one_writes_nothing_is_written_and_all_that_is_missing_then():
    cluster = FakeCluster()
    cluster.ours.set(False)
    cluster.namespace("a")
    async with supervise(cluster.publisher.run(cluster.ours)):
        await cluster.clock.advance(60)
        assert cluster.writes == []
        cluster.config_map("a", WRITTEN)  # by the other one
        cluster.namespace("b")
        await cluster.clock.advance(60)
        cluster.ours.set(True)
        await cluster.clock.advance(0)
        assert cluster.writes == ["b"]


HOME = "istio-system"
NEWER = {KEY: "the root\na newer root", "issuer": "a CA"}


@asynccontextmanager
async def cluster_of_another_citadel() -> AsyncIterator[FakeCluster]:
    """Another Citadel has written the roots that we have, and then newer ones."""
    cluster = FakeCluster()
    cluster.ours.set(False)
    for name in (HOME, "default"):
        cluster.namespace(name)
        cluster.config_map(name, WRITTEN)
    async with supervise(cluster.publisher.run(cluster.ours)):
        await cluster.clock.advance(0)
        for name in (HOME, "default"):
            cluster.config_map(name, NEWER)
        await cluster.clock.advance(20)
        cluster.ours.set(True)
        await cluster.clock.advance(20)
        yield cluster


async def test_newer_roots_are_not_replaced_by_older_ones_while_our_files_lag():
    async with cluster_of_another_citadel() as cluster:
        assert cluster.writes == []
        assert not cluster.publisher.writes.value
        cluster.namespace("late")  # older roots are better than none
        await cluster.clock.advance(1)
        assert cluster.held == {"late": WRITTEN}
        cluster.publisher.publish(Published(NEWER[KEY].encode(), NEWER["issuer"]))
        await cluster.clock.advance(1)
        assert cluster.held == {"late": NEWER}
        assert cluster.publisher.writes.value


async def test_what_our_files_become_later_is_newer_than_what_the_other_wrote():
    async with cluster_of_another_citadel() as cluster:
        cluster.publisher.publish(Published(b"the newest root", "a CA"))
        await cluster.clock.advance(1)
        assert {each[KEY] for each in cluster.held.values()} == {"the newest root"}
        assert cluster.held.keys() == {HOME, "default"}


async def test_files_that_do_not_follow_in_the_time_of_a_kubelet_are_the_truth():
    async with cluster_of_another_citadel() as cluster:
        cluster.ours.set(False)
        cluster.config_map(HOME, NEWER)
        cluster.ours.set(True)
        await cluster.clock.advance(138)
        assert cluster.writes == []
        await cluster.clock.advance(5)
        assert cluster.held == {HOME: WRITTEN, "default": WRITTEN}
        assert cluster.publisher.writes.value


async def test_a_citadel_that_starts_has_the_newest_files():
    cluster = FakeCluster()
    cluster.namespace(HOME)
    cluster.config_map(HOME, NEWER)
    async with supervise(cluster.publisher.run(cluster.ours)):
        await cluster.clock.advance(0)
        assert cluster.held == {HOME: WRITTEN}


async def test_roots_of_who_died_half_way_are_not_taken_back_where_they_were_written():
    async with cluster_of_another_citadel() as cluster:
        cluster.config_map("default", WRITTEN)  # home comes first, so the other one had not come here
        cluster.config_map("shop", NEWER)
        cluster.namespace("shop")
        await cluster.clock.advance(1)
        assert cluster.writes == []
