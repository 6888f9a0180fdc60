from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import pytest

from fakes.eventually import eventually
from fakes.manifests import EAST, SETTINGS, config, endpoint, pod, put, service, slice_of
from fakes.ports import free_ports
from fakes.world import FakeWorld
from isthmus.admin import Admin
from isthmus.discovery.analyst import Analyst
from isthmus.discovery.cluster_watcher import WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.registry import ClusterSpec, FixedSource, Registry
from isthmus.discovery.status_writer import Statuses
from isthmus.kit.plain_http import Request, fetch
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.kubeconfig import Access
from isthmus.model.build import MeshBuilder
from isthmus.settings import PilotSettings
from isthmus.xds.fanout import Fanout


class Pages:
    def __init__(self, port, builder, fanout):
        self.builder, self.fanout, self._port = builder, fanout, port

    async def get(self, path):
        return await fetch("GET", self._port, path)

    async def json(self, path):
        answer = await self.get(path)
        assert answer.status == 200, answer.body
        return msgspec.json.decode(answer.body)


@asynccontextmanager
async def _served(*specs):
    builder, fanout = MeshBuilder(SETTINGS), Fanout()
    fleet = Fleet(Registry((FixedSource(*specs),)), lambda _: None, WatcherSettings())
    (port,) = free_ports(1)
    settings = PilotSettings(address="127.0.0.1", monitoring_port=port)
    analyst = Analyst(builder, tuple, Statuses())
    async with supervise(
        fleet.run(),
        fanout.run(),
        (admin := Admin(fleet, builder, fanout, analyst, own := Watchable(None))).run(settings),
    ):
        pages = Pages(port, builder, fanout)
        pages.own = own
        pages.admin = admin

        async def answers():
            try:
                clusters = (await pages.json("/debug/clusters"))["clusters"]
            except OSError:
                return False
            return len(clusters) == len(specs)

        await eventually(answers)
        yield pages


@pytest.fixture
async def pages():
    (port,) = free_ports(1)
    away = ClusterSpec(id="west", access=Access(server=f"http://127.0.0.1:{port}"), source="file west.yaml")
    async with _served(away) as served:
        yield served


async def test_it_is_ready_once_there_is_a_mesh_and_a_certificate_to_tell_it_by(pages):
    assert (await pages.get("/ready")).body == b"no mesh yet\n"
    pages.fanout.publish(FakeWorld().next())
    answer = await pages.get("/ready")
    assert (answer.status, answer.body) == (503, b"no certificate yet\n")
    pages.own.set("a certificate")
    assert (await pages.get("/ready")).status == 200


async def test_every_page_answers_in_an_empty_mesh(pages):
    listed = await pages.json("/debug")
    assert "/debug/syncz" in listed
    for page in listed:
        if page not in {"/debug/config_dump", "/debug/distribution"}:  # of a proxy, of an object
            await pages.json(page)
    for page in ("/debug/none", "/debug/config_dump", "/debug/distribution"):
        assert (await pages.get(page)).status == 404


async def test_what_shows_configuration_answers_over_loopback_only(pages):
    far = "10.0.0.7"
    for page in ("/debug", "/debug/", *await pages.json("/debug"), "/debug/none", "/debugger"):
        answer = await pages.admin.answer(Request("GET", page, {}, asker=far))
        assert (answer.status, b"port-forward" in answer.body) == (403, True), page
    for page in ("/metrics", "/ready", "/"):
        answer = await pages.admin.answer(Request("GET", page, {}, asker=far))
        assert answer.status != 403
        assert b"zzzzzz" not in answer.body
    assert (
        b'isthmus_refused_total{door="debug",reason="not over loopback"}'
        in (await pages.get("/metrics")).body
    )


async def test_clusters_are_told_with_their_state(pages):
    async def is_missed() -> bool:
        answer = await pages.json("/debug/clusters")
        assert [each["id"] for each in answer["clusters"]] == ["west"]
        return any(
            'cluster "west"' in each and "not all of it is heard" in each for each in answer["findings"]
        )

    await eventually(is_missed)


async def test_services_endpoints_and_findings_are_told(pages):
    broken = config("VirtualService", "a", "{hosts: [a], http: [{route: [{destination: {host: zzzzzz}}]}]}")
    objects = (
        service("reviews", ("http", 80)),
        slice_of("reviews", endpoint("10.0.0.1", "p1")),
        pod("p1", "10.0.0.1", serviceAccountName="bob"),
        broken,
    )
    pages.builder.apply([put(EAST, each) for each in objects])
    (registered,) = await pages.json("/debug/services")
    assert registered["hostname"] == "reviews.default.svc.cluster.local"
    assert registered["ports"] == [{"number": 80, "name": "http", "protocol": "HTTP"}]
    assert registered["vips"] == {"east": ["10.1.0.1"]}
    (found,) = await pages.json("/debug/endpoints?service=reviews")
    assert (found["address"], found["cluster"], found["workload"]) == ("10.0.0.1", "east", "p1")
    assert found["identity"] == "spiffe://cluster.local/ns/default/sa/bob"
    assert await pages.json("/debug/endpoints?service=ratings") == []
    (finding,) = (
        each
        for each in await pages.json("/debug/findings")
        if each["object"] != "Cluster west"  # which is away
    )
    assert finding["object"] == "VirtualService default/a"
    assert finding["path"] == "$.spec.http[0].route[0].destination.host"


async def test_a_proxy_that_is_not_connected_is_told(pages):
    answer = await pages.get("/debug/config_dump?proxyID=nobody")
    assert answer.status == 404
    assert b"no proxy is called 'nobody' (hint: ?proxyID= one of none)" in answer.body


async def test_metrics_count_clusters_by_state_and_findings(pages):
    body = (await pages.get("/metrics")).body.decode()
    clusters = [line for line in body.splitlines() if "state=" in line and "cluster" in line]
    assert sum(float(line.rpartition(" ")[2]) for line in clusters) == 1
    assert 'severity="error"' in body


async def test_metrics_count_what_is_named_twice_and_endpoints_without_their_pod(pages):
    rule = "{hosts: [a], http: [{route: [{destination: {host: a}}]}]}"
    subsets = "{host: a, subsets: [{name: v1, labels: {v: '1'}}, {name: v2, labels: {v: '2'}}]}"
    objects = (
        service("a", ("http", 80)),
        slice_of("a", endpoint("10.0.0.1", "p1"), endpoint("10.0.0.2", "gone", "n1"), endpoint("10.0.0.3")),
        pod("p1", "10.0.0.1"),
        config("VirtualService", "one", rule),
        config("VirtualService", "two", rule),
        config("DestinationRule", "one", subsets),
        config("DestinationRule", "two", subsets.replace("v2", "v3")),
    )
    pages.builder.apply([put(EAST, each) for each in objects])
    await pages.json("/debug/findings")
    lines = (await pages.get("/metrics")).body.decode().splitlines()
    told = dict(line.split() for line in lines if line.count(" ") == 1)
    assert {name: told[name] for name in ("endpoint_no_pod", "pilot_destrule_subsets")} == {
        "endpoint_no_pod": "1.0",
        "pilot_destrule_subsets": "1.0",
    }
    assert float(told["pilot_vservice_dup_domain"]) >= 1.0
    assert told["pilot_conflict_inbound_listener"] == "0.0"
