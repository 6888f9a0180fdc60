from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, closing, suppress

import pytest

from fakes.eventually import eventually
from fakes.ports import free_ports
from fakes.two_clusters import World, service, two_clusters
from isthmus.discovery.cluster_keeper import KeeperSettings
from isthmus.discovery.cluster_watcher import ClusterState, WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.last_known import file_of
from isthmus.discovery.registry import Claims, FixedSource, Registry
from isthmus.kit.tasks import supervise
from isthmus.kube.kubeconfig import Token
from isthmus.kube.watch import WatchSettings
from isthmus.model.change import cluster_ref
from isthmus.model.codes import Code

QUICKLY = WatchSettings(first_wait_s=0.02, longest_wait_s=0.5)


def quick() -> WatcherSettings:
    """Settings of one test: what they let be watched belongs to its loop."""
    return WatcherSettings(watch=QUICKLY)


@pytest.fixture
async def clusters(tmp_path, api_server):
    async with two_clusters(tmp_path) as both:
        for cluster in both:
            await cluster.create("services", service("reviews"))
        yield both


@asynccontextmanager
async def fleet_of(*specs, settings=None):
    source, world = FixedSource(*specs), World()
    fleet = Fleet(Registry((source,)), world.put, settings or quick())
    async with supervise(fleet.run()):
        yield fleet, source, world


def says(source, *specs):
    source.claims.set(Claims(specs))


def states(fleet):
    return {status.id: status.state for status in fleet.status()}


async def until_states(fleet, **wanted):
    async def reached():
        return states(fleet) == wanted

    await eventually(reached)


async def test_all_clusters_are_one_mesh(clusters):
    east, west = clusters
    async with fleet_of(west.spec(), east.spec()) as (fleet, _, world):
        assert await fleet.synced(20)
        assert world.clusters_of("reviews") == ("east", "west")
        assert [status.id for status in fleet.status()] == ["east", "west"], "configuration first"
        assert states(fleet) == {"east": ClusterState.SYNCED, "west": ClusterState.SYNCED}
        assert fleet.status()[0].is_config


async def test_a_cluster_is_added_and_removed_as_a_whole(clusters):
    east, west = clusters
    async with fleet_of(east.spec()) as (fleet, source, world):
        assert await fleet.synced(20)
        assert world.clusters_of("reviews") == ("east",)
        says(source, east.spec(), west.spec())
        await world.until(lambda world: world.clusters_of("reviews") == ("east", "west"))
        says(source, east.spec())
        await world.until(lambda world: world.clusters_of("reviews") == ("east",))
        last = world.changes[-1]
        assert (last.key.cluster, last.key.ref, last.value) == ("west", cluster_ref("west"), None)
        assert set(fleet.watchers()) == {"east"}


async def test_a_cluster_out_of_reach_neither_blocks_nor_empties_others(clusters):
    east, west = clusters
    (port,) = free_ports(1)
    async with fleet_of(east.spec(), west.spec(server=f"https://127.0.0.1:{port}")) as (fleet, _, world):
        assert not await fleet.synced(0.3)
        await world.until(lambda world: world.clusters_of("reviews") == ("east",))
        await until_states(fleet, east=ClusterState.SYNCED, west=ClusterState.UNREACHABLE)
        assert f"no answer from https://127.0.0.1:{port}" in fleet.status()[1].error
        (finding,) = fleet.findings()
        assert (finding.code, finding.cluster) == (Code.CLUSTER_UNKNOWN, "west")


async def test_a_cluster_that_refuses_us_is_told(clusters):
    east, west = clusters
    async with fleet_of(east.spec(), west.spec(credentials=Token("nonsense"))) as (fleet, _, world):
        await until_states(fleet, east=ClusterState.SYNCED, west=ClusterState.REFUSED)
        assert world.clusters_of("reviews") == ("east",)


async def test_a_certificate_that_is_none_is_told_and_mended(clusters):
    east, west = clusters
    async with fleet_of(east.spec(), west.spec(ca=b"nonsense")) as (fleet, source, world):
        await until_states(fleet, east=ClusterState.SYNCED, west=ClusterState.UNREACHABLE)
        assert "no PEM that fits" in fleet.status()[1].error
        says(source, east.spec(), west.spec())
        await world.until(lambda world: world.clusters_of("reviews") == ("east", "west"))

        async def is_well():
            return not fleet.findings()

        await eventually(is_well)


async def test_a_cluster_that_goes_down_keeps_its_last_known_state(clusters):
    east, west = clusters
    async with fleet_of(east.spec(), west.spec()) as (fleet, _, world):
        assert await fleet.synced(20)
        await west.served.stop_serving()
        await until_states(fleet, east=ClusterState.SYNCED, west=ClusterState.STALE)
        assert world.clusters_of("reviews") == ("east", "west")


async def test_new_credentials_take_over_without_a_gap(clusters):
    east, west = clusters
    token = west.served.credentials.admin_token
    async with fleet_of(east.spec(), west.spec()) as (fleet, source, world):
        assert await fleet.synced(20)
        mesh, count, old = world.mesh, len(world.changes), fleet.watchers()["west"]
        says(source, east.spec(), west.spec(credentials=Token(token)))

        async def taken_over():
            return fleet.watchers()["west"] is not old

        await eventually(taken_over)
        assert not fleet.status()[1].replacing
        assert all(change.value is not None for change in world.changes[count:]), "nothing was taken away"
        assert world.mesh.services is mesh.services, "the same mesh"
        await west.create("services", service("ratings"))
        await world.until(lambda world: world.clusters_of("ratings") == ("west",))
        told = [change for change in world.changes if change.key.ref.name == "ratings"]
        assert len(told) == 1, "the old watcher is silent"


async def test_bad_credentials_keep_the_old_ones(clusters):
    east, west = clusters
    async with fleet_of(east.spec(), west.spec()) as (fleet, source, world):
        assert await fleet.synced(20)
        says(source, east.spec(), west.spec(credentials=Token("nonsense")))

        async def refused():
            return fleet.status()[1].replacing.startswith("refused: ")

        await eventually(refused)
        await west.create("services", service("ratings"))
        await world.until(lambda world: world.clusters_of("ratings") == ("west",))
        assert fleet.status()[1].state is ClusterState.SYNCED
        says(source, east.spec(), west.spec())

        async def given_up():
            return not fleet.status()[1].replacing

        await eventually(given_up)


async def test_what_went_while_credentials_changed_is_taken_away(clusters):
    _, west = clusters
    token = west.served.credentials.admin_token
    async with fleet_of(west.spec()) as (fleet, source, world):
        assert await fleet.synced(20)
        await west.delete("services", "default", "reviews")
        says(source, west.spec(credentials=Token(token)))
        await world.until(lambda world: world.clusters_of("reviews") == ())


async def test_a_companion_that_fails_is_tried_again_with_its_cluster(clusters):
    east, _ = clusters
    tries = []

    async def companion(spec, client):
        tries.append(spec.id)
        if len(tries) == 1:
            raise ValueError("a companion's own mistake")
        await asyncio.Event().wait()

    settings = WatcherSettings(watch=QUICKLY, companions=(companion,))
    async with fleet_of(east.spec(), settings=settings) as (fleet, _, world):

        async def again():
            return len(tries) == 2

        await eventually(again)
        await world.until(lambda world: world.clusters_of("reviews") == ("east",))
        assert await fleet.synced(20)


async def test_nothing_is_told_before_the_cluster_of_the_configuration_has_answered(clusters):
    east, west = clusters
    (port,) = free_ports(1)
    away = east.spec(server=f"https://127.0.0.1:{port}")
    async with fleet_of(away, west.spec()) as (fleet, source, _):
        waiting = asyncio.create_task(fleet.synced(0.2))
        await until_states(fleet, east=ClusterState.UNREACHABLE, west=ClusterState.SYNCED)
        assert not (await asyncio.wait([waiting], timeout=1))[0]
        says(source, east.spec(), west.spec())
        assert await asyncio.wait_for(waiting, 20)


async def test_a_cluster_that_never_comes_to_an_end_holds_nobody_up_for_ever(clusters):
    east, west = clusters

    async def drip(_, writer):
        with suppress(ConnectionError), closing(writer):
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            while True:
                writer.write(b"1\r\n \r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with fleet_of(east.spec(), west.spec(server=f"http://127.0.0.1:{port}")) as (fleet, _, world):
            assert not await asyncio.wait_for(fleet.synced(0.5), 20)
            await world.until(lambda world: world.clusters_of("reviews") == ("east",))
            assert states(fleet)["east"] is ClusterState.SYNCED


def kept_in(folder) -> WatcherSettings:
    return WatcherSettings(watch=QUICKLY, keeper=KeeperSettings(folder=folder, period_s=0.05))


async def kept_once(folder, *clusters):
    """A Pilot has run that knew these, and has kept them."""
    specs = [each.spec() for each in clusters]

    async def are_there():
        return all(file_of(folder, spec.id).exists() for spec in specs)

    async with fleet_of(*specs, settings=kept_in(folder)) as (fleet, _, _world):
        assert await fleet.synced(20)
        await eventually(are_there)


async def test_a_cluster_that_is_away_when_pilot_starts_is_served_as_it_was(clusters, tmp_path):
    east, west = clusters
    kept = tmp_path / "kept"
    await kept_once(kept, east, west)
    await west.served.stop_serving()
    async with fleet_of(east.spec(), west.spec(), settings=kept_in(kept)) as (fleet, source, world):
        assert not await fleet.synced(1)
        assert world.clusters_of("reviews") == ("east", "west"), "before anybody is told anything"
        await until_states(fleet, east=ClusterState.SYNCED, west=ClusterState.KEPT)
        told = fleet.status()[1]
        assert told.as_of
        assert told.error.startswith("as it was at ")
        (finding,) = fleet.findings()
        assert (finding.code, finding.cluster) == (Code.CLUSTER_AS_IT_WAS, "west")
        says(source, east.spec())
        await world.until(lambda world: world.clusters_of("reviews") == ("east",))
        assert not fleet.findings()
        assert not file_of(kept, "west").exists(), "it has left"


async def test_what_is_heard_counts_more_than_what_was(clusters, tmp_path):
    _, west = clusters
    kept = tmp_path / "kept"
    await kept_once(kept, west)
    await west.delete("services", "default", "reviews")
    await west.create("services", service("ratings"))
    async with fleet_of(west.spec(), settings=kept_in(kept)) as (fleet, _, world):
        assert await fleet.synced(20)
        watcher = fleet.watchers()["west"]
        await watcher.recall()
        assert not watcher.as_of, "all is heard: there is nothing to recall"
        assert (world.clusters_of("reviews"), world.clusters_of("ratings")) == ((), ("west",))


async def test_the_configuration_may_be_served_as_it_was(clusters, tmp_path):
    east, west = clusters
    kept = tmp_path / "kept"
    await kept_once(kept, east, west)
    await east.served.stop_serving()
    async with fleet_of(east.spec(), west.spec(), settings=kept_in(kept)) as (fleet, _, world):
        assert not await asyncio.wait_for(fleet.synced(0.5), 20)
        assert world.clusters_of("reviews") == ("east", "west")
        await until_states(fleet, east=ClusterState.KEPT, west=ClusterState.SYNCED)


async def test_nothing_is_served_as_it_was_before_it_is_known_which_clusters_there_are(clusters, tmp_path):
    east, west = clusters
    kept = tmp_path / "kept"
    await kept_once(kept, east, west)
    await east.served.stop_serving()
    source, others, world = FixedSource(east.spec()), FixedSource(), World()
    others.looked.clear()
    fleet = Fleet(Registry((source, others)), world.put, kept_in(kept), late_s=0.1)
    async with supervise(fleet.run()):
        waiting = asyncio.create_task(fleet.synced(0.2))
        assert not (await asyncio.wait([waiting], timeout=1))[0], "half of the clusters would empty the mesh"
        assert world.clusters_of("reviews") == ()
        says(others, west.spec())
        others.looked.set()
        await asyncio.wait_for(waiting, 20)
        await world.until(lambda world: world.clusters_of("reviews") == ("east", "west"))


async def test_files_of_clusters_that_left_unseen_go_when_they_are_old(clusters, tmp_path):
    _, west = clusters
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("gone", "west", "new"):
        file_of(kept, name).write_text("")
        os.utime(file_of(kept, name), (0, 0) if name != "new" else None)
    async with fleet_of(west.spec(), settings=kept_in(kept)) as (fleet, _, _world):
        assert await fleet.synced(20)

        async def is_gone():
            return not file_of(kept, "gone").exists()

        await eventually(is_gone)
        assert file_of(kept, "west").exists()
        assert file_of(kept, "new").exists()
