"""At an API server: who registers itself has an entry for as long as it is connected."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from fakes.eventually import eventually
from fakes.two_clusters import World, two_clusters
from isthmus.api import kind_of_type
from isthmus.api.crd import custom_resource_definitions
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.istio.workload_group import WorkloadGroup
from isthmus.discovery.cluster_watcher import ClusterWatcher, WatcherSettings
from isthmus.discovery.registrar import Registrar, RegistrarSettings
from isthmus.discovery.registrations import Registrations
from isthmus.kit.clock import ManualClock
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Forbidden, NotFound
from isthmus.kube.watch import WatchSettings
from isthmus.model.codes import Code
from isthmus.model.endpoint import Locality
from isthmus.model.names import Hostname, ServiceKey
from isthmus.model.proxy import proxy_from_node

ENTRIES, GROUPS = kind_of_type(WorkloadEntry), kind_of_type(WorkloadGroup)
NAME = "vms-192.0.2.7-home"
GROUP = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadGroup",
    "metadata": {"name": "vms", "namespace": "default"},
    "spec": {
        "metadata": {"labels": {"app": "mysql"}, "annotations": {"owner": "data"}},
        "template": {"serviceAccount": "mysql", "ports": {"mysql": 3307}, "weight": 5, "locality": "home/a"},
    },
}
SERVICE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "mysql", "namespace": "default"},
    "spec": {
        "hosts": ["mysql.internal"],
        "ports": [{"number": 3306, "name": "mysql", "protocol": "TCP"}],
        "resolution": "STATIC",
        "workloadSelector": {"labels": {"app": "mysql"}},
    },
}
QUICKLY = WatchSettings(first_wait_s=0.02, longest_wait_s=0.5)
HURRIED = RegistrarSettings(grace_s=0.2, orphan_grace_s=0.3, pause_s=0.02, period_s=0.05, idle_s=1)
PATIENT = msgspec.structs.replace(HURRIED, grace_s=600, orphan_grace_s=600)


def machine(address="192.0.2.7", account="mysql", **metadata):
    said = {"CLUSTER_ID": "east", "SERVICE_ACCOUNT": account, "NETWORK": "home"}
    said |= {"AUTO_REGISTER_GROUP": "vms", "LABELS": {"version": "v8"}} | metadata
    return proxy_from_node(f"sidecar~{address}~vm.default~default.svc.cluster.local", said, Locality())


class Told(World):
    """A world that tells registrations of each step."""

    def __init__(self):
        super().__init__()
        self.listeners = []

    def put(self, change):
        super().put(change)
        for each in self.listeners:
            each.look()


class Pilots:
    """Registrars on one cluster and one mesh, each with whom it serves."""

    def __init__(self, east, client, world):
        self.east, self.client, self.world = east, client, world

    @asynccontextmanager
    async def started(self, name, settings=HURRIED, leads=True):
        registrations = Registrations(lambda: self.world.mesh, lambda: None)
        self.world.listeners.append(registrations)
        registrar = Registrar(self.client, ("istio-system", name), registrations, settings)
        async with supervise(registrar.run(Watchable(leads))):
            yield registrations
        self.world.listeners.remove(registrations)

    async def make_pod(self, name):
        meta = {"name": name, "namespace": "istio-system"}
        pod = {"metadata": meta, "spec": {"containers": [{"name": "discovery", "image": "isthmus"}]}}
        await self.east.create("pods", {"apiVersion": "v1", "kind": "Pod", **pod})

    async def entry(self, name=NAME):
        try:
            return await self.client.get(ENTRIES, "default", name)
        except NotFound:
            return None

    async def marks(self):
        found = await self.entry()
        return found["metadata"]["annotations"] if found else {}

    async def until_marked(self, **wanted):
        async def holds():
            found = await self.marks()
            return all((f"istio.io/{key}" in found) is value for key, value in wanted.items())

        await eventually(holds)

    async def until_kept_by(self, pilot):
        async def holds():
            found = await self.marks()
            return found.get("istio.io/workloadController") == pilot and "istio.io/connectedAt" in found

        await eventually(holds)

    async def until_gone(self):
        async def holds():
            return await self.entry() is None

        await eventually(holds)


@pytest.fixture
async def pilots(tmp_path, api_server):
    async with AsyncExitStack() as stack:
        east, _ = await stack.enter_async_context(two_clusters(tmp_path, custom_resource_definitions()))
        client = await stack.enter_async_context(Client(east.access))
        account = {"metadata": {"name": "default", "namespace": "istio-system"}}
        await east.apply({"apiVersion": "v1", "kind": "ServiceAccount", **account})
        await client.create(GROUPS, GROUP)
        world = Told()
        watcher = ClusterWatcher(east.spec(), world.put, WatcherSettings(watch=QUICKLY))
        watcher.speak()
        await stack.enter_async_context(supervise(watcher.run()))
        await watcher.synced()
        yield Pilots(east, client, world)


async def test_who_comes_gets_an_entry_of_its_group_that_services_find(pilots):
    await pilots.east.create("serviceentries", SERVICE, "networking.istio.io")
    async with pilots.started("a") as registrations:
        registrations.proven(machine())
        await pilots.until_kept_by("a")
        found = await pilots.entry()
        key = ServiceKey("default", Hostname("mysql.internal"))
        await pilots.world.until(
            lambda world: any(each.endpoints for each in world.mesh.shards.get(key, {}).values())
        )
    labels = {"app": "mysql", "version": "v8", "security.istio.io/tlsMode": "istio"}
    assert found["metadata"]["labels"] == labels
    assert found["metadata"]["annotations"]["owner"] == "data"
    assert found["metadata"]["annotations"]["istio.io/autoRegistrationGroup"] == "vms"
    (owner,) = found["metadata"]["ownerReferences"]
    group = await pilots.client.get(GROUPS, "default", "vms")
    assert (owner["kind"], owner["name"], owner["uid"]) == ("WorkloadGroup", "vms", group["metadata"]["uid"])
    assert found["spec"] == {
        "address": "192.0.2.7",
        "ports": {"mysql": 3307},
        "labels": labels,
        "network": "home",
        "locality": "home/a",
        "weight": 5,
        "serviceAccount": "mysql",
    }


async def test_who_leaves_for_good_loses_its_entry_and_who_comes_back_keeps_it(pilots):
    async with pilots.started("a", PATIENT) as registrations:
        leave = registrations.proven(machine())
        leave_too = registrations.proven(machine())  # its agent has a stream of its own
        await pilots.until_kept_by("a")
        uid = (await pilots.entry())["metadata"]["uid"]
        leave()
        assert registrations.held
        leave_too()
        await pilots.until_marked(disconnectedAt=True, connectedAt=False)
        registrations.proven(machine())
        await pilots.until_marked(disconnectedAt=False, connectedAt=True)
        assert (await pilots.entry())["metadata"]["uid"] == uid
    async with pilots.started("a") as registrations:
        leave = registrations.proven(machine())
        await pilots.until_kept_by("a")
        leave()
        await pilots.until_gone()
        await eventually(_forgotten(registrations))


def _forgotten(registrations):
    async def holds():
        return not registrations.held

    return holds


async def test_an_entry_that_somebody_deletes_or_a_group_that_changes_is_made_good(pilots):
    async with pilots.started("a") as registrations:
        registrations.proven(machine())
        await pilots.until_kept_by("a")
        await pilots.client.delete(ENTRIES, "default", NAME)
        await pilots.until_kept_by("a")
        spec = {"template": {"weight": 9}}
        await pilots.client.merge(GROUPS, "default", "vms", {"spec": spec})

        async def heavier():
            found = await pilots.entry()
            return found is not None and found["spec"]["weight"] == 9

        await eventually(heavier)


async def test_after_a_restart_entries_go_whose_workload_never_came_back(pilots):
    async with pilots.started("a") as registrations:
        registrations.proven(machine())
        await pilots.until_kept_by("a")
    assert await pilots.entry()
    async with pilots.started("a", leads=False):
        await pilots.until_gone()


async def test_entries_of_a_pilot_that_is_no_more_are_the_leaders_and_those_of_one_that_lives_are_not(pilots):
    for name in ("a", "b"):
        await pilots.make_pod(name)
    async with pilots.started("a") as registrations:
        registrations.proven(machine())
        await pilots.until_kept_by("a")
    async with pilots.started("b") as others:
        others.proven(machine("192.0.2.8"))

        async def second():
            return await pilots.entry("vms-192.0.2.8-home") is not None

        await eventually(second)
        await eventually(_rounds(others, 30))
        assert await pilots.entry()
        await pilots.client.request(
            "DELETE", "/api/v1/namespaces/istio-system/pods/a", query={"gracePeriodSeconds": "0"}
        )
        await pilots.until_gone()
        assert await second()


def _rounds(registrations, number):
    """Holds once a Registrar has looked so many times."""
    left = [number]

    async def holds():
        if not registrations.due.is_set():
            registrations.due.set()
            left[0] -= 1
        return left[0] <= 0

    return holds


async def test_a_workload_at_two_pilots_is_the_later_ones_and_stays_when_one_of_them_lets_go(pilots):
    for name in ("a", "b"):
        await pilots.make_pod(name)
    async with pilots.started("a") as first, pilots.started("b") as second:
        first.proven(machine())
        await pilots.until_kept_by("a")
        leave = second.proven(machine())
        await pilots.until_kept_by("b")
        version = (await pilots.entry())["metadata"]["resourceVersion"]
        await eventually(_rounds(first, 20))
        await eventually(_rounds(second, 20))
        assert (await pilots.entry())["metadata"]["resourceVersion"] == version  # they do not fight
        leave()
        await pilots.until_kept_by("a")


async def test_what_people_wrote_under_that_name_is_left_alone_and_told(pilots):
    own = {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "spec": {"address": "192.0.2.7"}}
    await pilots.client.create(ENTRIES, own | {"metadata": {"name": NAME, "namespace": "default"}})
    async with pilots.started("a") as registrations:
        registrations.proven(machine())

        async def told():
            return any("nobody registered" in each.message for each in registrations.findings)

        await eventually(told)
        assert (await pilots.entry())["spec"] == {"address": "192.0.2.7"}
        await pilots.client.delete(ENTRIES, "default", NAME)
        await pilots.until_kept_by("a")

        async def silent():
            return not registrations.findings

        await eventually(silent)


async def test_a_pilot_that_may_not_write_says_so_and_writes_when_it_may(pilots, monkeypatch):
    create = Client.create

    async def forbidden(self, kind, obj):
        raise Forbidden(403, "Forbidden", "workloadentries is forbidden")

    async with pilots.started("a") as registrations:
        monkeypatch.setattr(Client, "create", forbidden)
        registrations.proven(machine())

        async def told():
            return [(each.ref.name, each.code) for each in registrations.findings] == [
                ("vms", Code.NOT_REGISTERED)
            ]

        await eventually(told)
        monkeypatch.setattr(Client, "create", create)
        await pilots.until_kept_by("a")


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        (machine(AUTO_REGISTER_GROUP="none"), "there is no WorkloadGroup default/none"),
        (machine(account="carol"), "is for service account mysql, and the workload runs as carol"),
        (machine("unknown"), "'unknown' is no IP address"),
        (machine("0.0.0.0"), "is no IP address that others could call"),
    ],
)
async def test_who_may_not_be_of_a_group_is_refused_and_the_group_told_until_it_gives_up(pilots, proxy, why):
    clock, looks = ManualClock(), []
    registrations = Registrations(lambda: pilots.world.mesh, lambda: looks.append(1), clock)
    for _ in range(3):
        with pytest.raises(PermissionError, match=why):
            registrations.proven(proxy)
    (finding,) = registrations.findings
    assert why in finding.message
    assert finding.code is Code.NOT_REGISTERED
    assert finding.ref.kind == "WorkloadGroup"
    assert len(looks) == 1
    await clock.advance(60)
    registrations.forget_refusals()
    assert registrations.findings
    await clock.advance(61)
    registrations.forget_refusals()
    assert not registrations.findings
    assert not registrations.held


async def test_who_proves_nothing_is_refused_only_where_it_asks_for_an_entry(pilots):
    registrations = Registrations(lambda: pilots.world.mesh, lambda: None)
    with pytest.raises(PermissionError, match="plain text proves no identity"):
        registrations.unproven(machine())
    registrations.unproven(machine(AUTO_REGISTER_GROUP=""))()
    registrations.proven(machine(AUTO_REGISTER_GROUP=""))()
    assert not registrations.held


async def test_many_that_are_refused_cost_no_memory(pilots):
    registrations = Registrations(lambda: pilots.world.mesh, lambda: None)
    for number in range(300):
        with pytest.raises(PermissionError):
            registrations.proven(machine(f"10.0.{number // 250}.{number % 250}", account="carol"))
    assert len(registrations.findings) == 100


async def test_an_entry_gets_traffic_only_while_its_workload_is_well(pilots):
    await pilots.east.create("serviceentries", SERVICE, "networking.istio.io")
    group = await pilots.client.get(GROUPS, "default", "vms")
    group["spec"]["probe"] = {"tcpSocket": {"port": 3307}}
    await pilots.client.request("PUT", path_of(GROUPS, "default", "vms"), body=group)

    def called():
        key = ServiceKey("default", Hostname("mysql.internal"))
        found = pilots.world.mesh.shards.get(key, {})
        return {each.address for shard in found.values() for each in shard.endpoints}

    async def condition():
        found = ((await pilots.entry() or {}).get("status") or {}).get("conditions") or [{}]
        return found[0].get("status"), found[0].get("message")

    async with pilots.started("a") as registrations:
        registrations.proven(machine())
        await pilots.until_kept_by("a")
        assert called() == set(), "nobody knows yet"
        registrations.heard(machine(), "")
        await pilots.world.until(lambda _: called() == {"192.0.2.7"})
        assert await condition() == ("True", "")
        registrations.heard(machine(), "no answer within 1 s")
        await pilots.world.until(lambda _: called() == set())
        assert await condition() == ("False", "no answer within 1 s")
        await pilots.client.request("DELETE", path_of(ENTRIES, "default", NAME))

        async def told_again():
            return await condition() == ("False", "no answer within 1 s")

        await eventually(told_again)
        registrations.heard(machine("192.0.2.8"), "")
        registrations.heard(machine(AUTO_REGISTER_GROUP=""), "")
