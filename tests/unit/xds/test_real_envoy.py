"""The real Envoy on loopback: it takes what we send in both dialects, and says why when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from fakes.ads_envoy import Envoy, address, envoy
from fakes.pilot import FakePilot
from fakes.world import FakeGeneration
from isthmus.envoy.types import (
    Any,
    Cluster,
    ClusterLoadAssignment,
    HttpConnectionManager,
    Listener,
    RouteConfiguration,
    Router,
)
from isthmus.kit.polling import until
from isthmus.kit.versioned import Versioned
from isthmus.translate.names import LOCAL
from isthmus.xds.status import State, proxies
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER, ROUTES

pytestmark = pytest.mark.usefixtures("wire")


def packed(message: Message) -> Any:
    full_name = message.DESCRIPTOR.full_name
    return Any(type_url=f"type.googleapis.com/{full_name}", value=message.SerializeToString())


def upstream(name: str, timeout_s: int = 1, lb_policy: int = 0) -> Cluster:
    cluster = Cluster(
        name=name, type=Cluster.EDS, connect_timeout={"seconds": timeout_s}, lb_policy=lb_policy
    )
    cluster.eds_cluster_config.eds_config.ads.SetInParent()
    cluster.eds_cluster_config.eds_config.resource_api_version = 2
    # Envoy then waits for endpoints for ever, where by default it would go on after 15 seconds.
    cluster.eds_cluster_config.eds_config.initial_fetch_timeout.SetInParent()
    return cluster


def endpoints(name: str, *ports: int) -> ClusterLoadAssignment:
    found = [{"endpoint": {"address": address(port)}} for port in ports]
    return ClusterLoadAssignment(cluster_name=name, endpoints=[{"lb_endpoints": found}])


def listener(name: str, port: int, routes: str) -> Listener:
    manager = HttpConnectionManager(
        stat_prefix=name,
        rds={"route_config_name": routes, "config_source": {"ads": {}, "resource_api_version": 2}},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": packed(Router())}],
    )
    http = {"name": "envoy.filters.network.http_connection_manager", "typed_config": packed(manager)}
    return Listener(name=name, address=address(port), filter_chains=[{"filters": [http]}])


def routes(name: str, to: str) -> RouteConfiguration:
    route = {"match": {"prefix": "/"}, "route": {"cluster": to}}
    return RouteConfiguration(name=name, virtual_hosts=[{"name": "all", "domains": ["*"], "routes": [route]}])


class Mesh:
    """Resources by type and name, put in as messages."""

    def __init__(self, pilot: FakePilot) -> None:
        self._pilot, self._number = pilot, 0
        self.resources: dict[str, dict[str, Versioned]] = {
            t: {} for t in (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
        }

    def publish(
        self,
        *messages: Cluster | ClusterLoadAssignment | Listener | RouteConfiguration,
        gone: tuple[tuple[str, str], ...] = (),
    ) -> None:
        touched: dict[str, set[str]] = {}
        for message in messages:
            type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
            name = message.cluster_name if isinstance(message, ClusterLoadAssignment) else message.name
            self.resources[type_url][name] = Versioned.of(name, message.SerializeToString())
            touched.setdefault(type_url, set()).add(name)
        for type_url, name in gone:
            del self.resources[type_url][name]
            touched.setdefault(type_url, set()).add(name)
        self._number += 1
        now = {type_url: dict(found) for type_url, found in self.resources.items()}
        self._pilot.publish(FakeGeneration(self._number, now, {t: frozenset(n) for t, n in touched.items()}))

    @property
    def states(self) -> dict[str, tuple[State, str]]:
        return {
            each.name: (each.state, each.reason)
            for status in proxies(self._pilot.fanout)
            for each in status.types
        }

    def all_synced(self) -> bool:
        if not all(each.conversation.quiet for each in self._pilot.fanout.sessions):
            return False
        found = self.states
        return len(found) == 4 and all(state is State.SYNCED for state, _ in found.values())


async def eventually(holds) -> None:
    async with asyncio.timeout(30):
        await until(holds, 0.01)


@pytest.fixture
def mesh() -> Mesh:
    return Mesh(FakePilot())


@pytest.fixture(params=["delta", "sotw"])
async def running(
    request: pytest.FixtureRequest, mesh: Mesh, tmp_path: Path
) -> AsyncIterator[tuple[Mesh, Envoy]]:
    mesh.publish(
        *(upstream(name) for name in ("reviews", "ratings")),
        *(endpoints(name, 7001, 7002) for name in ("reviews", "ratings")),
        listener("outbound", 0, "http"),
        routes("http", "reviews"),
    )
    async with mesh._pilot.serving(), envoy(mesh._pilot.address, request.param, tmp_path) as proxy:
        await eventually(mesh.all_synced)
        yield mesh, proxy


@pytest.mark.parametrize("dialect", ["delta", "sotw"])
async def test_envoy_is_told_who_shares_its_calls_before_it_asks_for_upstreams(
    mesh: Mesh, tmp_path: Path, dialect: str
) -> None:
    mesh.publish(
        upstream("reviews"), endpoints("reviews", 7001), endpoints(LOCAL, 7003), listener("a", 0, "http")
    )
    mesh.publish(routes("http", "reviews"))
    async with (
        mesh._pilot.serving(),
        envoy(mesh._pilot.address, dialect, tmp_path, local=LOCAL) as proxy,
    ):
        await eventually(mesh.all_synced)
        await proxy.comes_to_have_warm("reviews")
        assert await proxy.addresses_of(LOCAL) == ["7003"]
        mesh.publish(endpoints(LOCAL, 7003, 7004))
        await eventually(mesh.all_synced)
        assert await proxy.addresses_of(LOCAL) == ["7003", "7004"]


async def test_envoy_takes_all_and_shows_it(running: tuple[Mesh, Envoy]) -> None:
    mesh, proxy = running
    await proxy.comes_to_have_warm("ratings", "reviews")
    assert await proxy.addresses_of("ratings") == ["7001", "7002"]
    [dump] = await proxy.dump("ListenersConfigDump")
    assert [each["name"] for each in dump["dynamic_listeners"]] == ["outbound"]
    [dump] = await proxy.dump("RoutesConfigDump")
    assert [each["route_config"]["name"] for each in dump["dynamic_route_configs"]] == ["http"]
    [status] = proxies(mesh._pilot.fanout)
    assert status.version.startswith("1.")


async def test_envoy_takes_changed_endpoints(running: tuple[Mesh, Envoy]) -> None:
    mesh, proxy = running
    mesh.publish(endpoints("ratings", 7003))
    await eventually(mesh.all_synced)
    assert await proxy.addresses_of("ratings") == ["7003"]
    assert await proxy.addresses_of("reviews") == ["7001", "7002"]


async def test_a_changed_upstream_is_warm_at_once(running: tuple[Mesh, Envoy]) -> None:
    # Envoy waits for its endpoints again and does not ask for them; it accepts the upstream after that.
    mesh, proxy = running
    mesh.publish(upstream("ratings", timeout_s=3))
    await eventually(mesh.all_synced)
    await proxy.comes_to_have_warm("ratings", "reviews")
    [dump] = await proxy.dump("ClustersConfigDump")
    timeouts = {
        e["cluster"]["name"]: e["cluster"]["connect_timeout"] for e in dump["dynamic_active_clusters"]
    }
    assert timeouts == {"ratings": "3s", "reviews": "1s"}
    assert await proxy.addresses_of("ratings") == ["7001", "7002"]


async def test_a_rejected_upstream_keeps_the_last_good_one_and_says_why(running: tuple[Mesh, Envoy]) -> None:
    mesh, proxy = running
    mesh.publish(upstream("ratings", lb_policy=42), upstream("reviews", timeout_s=4))
    await eventually(lambda: mesh.states["Cluster"][0] is State.REJECTED)
    assert "lb_policy" in mesh.states["Cluster"][1].lower() or "LbPolicy" in mesh.states["Cluster"][1]
    await eventually(lambda: mesh._pilot.fanout.sessions[0].conversation.quiet)
    [dump] = await proxy.dump("ClustersConfigDump")
    timeouts = {
        e["cluster"]["name"]: e["cluster"]["connect_timeout"] for e in dump["dynamic_active_clusters"]
    }
    assert timeouts["ratings"] == "1s"
    mesh.publish(upstream("ratings", timeout_s=5))
    await eventually(mesh.all_synced)
    [dump] = await proxy.dump("ClustersConfigDump")
    timeouts = {
        e["cluster"]["name"]: e["cluster"]["connect_timeout"] for e in dump["dynamic_active_clusters"]
    }
    assert timeouts == {"ratings": "5s", "reviews": "4s"}


async def test_an_upstream_goes_when_nothing_refers_to_it(running: tuple[Mesh, Envoy]) -> None:
    mesh, proxy = running
    mesh.publish(
        *(routes("http", "new"), upstream("new"), endpoints("new", 7009)),
        gone=((CLUSTER, "reviews"), (ENDPOINTS, "reviews")),
    )
    await eventually(mesh.all_synced)
    await proxy.comes_to_have_warm("new", "ratings")
    assert await proxy.addresses_of("new") == ["7009"]


async def test_after_a_restart_of_pilot_envoy_is_sent_nothing_that_it_has(mesh: Mesh, tmp_path: Path) -> None:
    mesh.publish(
        upstream("ratings"), endpoints("ratings", 7001), listener("l", 0, "http"), routes("http", "ratings")
    )

    async with mesh._pilot.serving(), envoy(mesh._pilot.address, "delta", tmp_path) as proxy:
        await eventually(mesh.all_synced)
        made = mesh._pilot.fanout.answers.made
        [session] = mesh._pilot.fanout.sessions
        session.cut("test")
        await eventually(lambda: session not in mesh._pilot.fanout.sessions)
        await eventually(mesh.all_synced)
        assert mesh._pilot.fanout.answers.made == made
        await proxy.comes_to_have_warm("ratings")


@pytest.mark.parametrize("dialect", ["delta", "sotw"])
async def test_an_upstream_that_changed_while_envoy_was_away_is_warm(
    mesh: Mesh, tmp_path: Path, dialect: str
) -> None:
    mesh.publish(
        *(
            upstream("ratings"),
            endpoints("ratings", 7001),
            listener("l", 0, "http"),
            routes("http", "ratings"),
        )
    )
    async with mesh._pilot.serving(), envoy(mesh._pilot.address, dialect, tmp_path) as proxy:
        await eventually(mesh.all_synced)
        # Envoy may come back at once: it is let in when there is the next state of the world.
        mesh._pilot.fanout.shared.published.clear()
        mesh._pilot.fanout.sessions[0].cut("test")
        await eventually(lambda: not mesh._pilot.fanout.sessions)
        mesh.publish(upstream("ratings", timeout_s=3))
        await eventually(mesh.all_synced)
        await proxy.comes_to_have_warm("ratings")
        assert await proxy.addresses_of("ratings") == ["7001"]


async def test_an_upstream_without_endpoints_holds_nothing_up(running: tuple[Mesh, Envoy]) -> None:
    mesh, proxy = running
    mesh.publish(upstream("details"))
    await eventually(mesh.all_synced)
    await proxy.comes_to_have_warm("details", "ratings", "reviews")
    assert await proxy.addresses_of("details") == []


async def test_a_changed_upstream_whose_endpoints_go_holds_nothing_up(running: tuple[Mesh, Envoy]) -> None:
    # So it is where a Service changes and is deleted before its endpoints have followed it to the proxy.
    mesh, proxy = running
    mesh.publish(upstream("ratings", timeout_s=3), gone=((ENDPOINTS, "ratings"),))
    await eventually(mesh.all_synced)
    await proxy.comes_to_have_warm("ratings", "reviews")
    mesh.publish(gone=((CLUSTER, "ratings"),))
    await eventually(mesh.all_synced)
    await proxy.comes_to_have_warm("reviews")
