from __future__ import annotations

import json
from contextlib import asynccontextmanager

import msgspec

from fakes.eventually import eventually
from fakes.ports import free_ports
from fakes.two_clusters import World, service, two_clusters
from isthmus.api.crd import custom_resource_definitions
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Ref
from isthmus.discovery.cluster_watcher import ClusterState, ClusterWatcher, WatcherSettings
from isthmus.discovery.selection import FOLLOWS
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kube.watch import WatchSettings
from isthmus.model.findings import Finding

QUICKLY = WatchSettings(first_wait_s=0.02, longest_wait_s=0.5)


def quick() -> WatcherSettings:
    """Settings of one test: what they let be watched belongs to its loop."""
    return WatcherSettings(watch=QUICKLY)


@asynccontextmanager
async def watched(cluster, speaks=True):
    world = World()
    watcher = ClusterWatcher(cluster.spec(), world.put, quick())
    if speaks:
        watcher.speak()
    async with supervise(watcher.run()):
        await watcher.synced()
        yield watcher, world


def virtual_service(**spec):
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"hosts": ["reviews"], **spec},
    }


async def test_a_cluster_without_our_definitions_is_whole(east):
    await east.create("services", service("reviews"))
    async with watched(east) as (watcher, world):
        assert watcher.health().state is ClusterState.SYNCED
        assert world.clusters_of("reviews") == ("east",)
        assert watcher.health().objects == len(watcher.facts())


async def test_definitions_that_come_later_are_followed(east):
    async with watched(east) as (watcher, world):
        await east.apply(*custom_resource_definitions())
        await east.create("virtualservices", virtual_service(http=[{"redirect": {"uri": "/"}}]))
        await world.until(lambda world: world.mesh.config.get("VirtualService"))
        await world.until(lambda _: watcher.health().state is ClusterState.SYNCED)


def lax(definition):
    """The definition as somebody else may have installed it: it lets everything in."""
    everything = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{**each, "schema": everything} for each in definition["spec"]["versions"]]
    return {**definition, "spec": {**definition["spec"], "versions": versions}}


async def test_configuration_that_is_wrong_is_a_finding_with_path_and_cluster(east):
    await east.apply(*map(lax, custom_resource_definitions()))
    async with watched(east) as (_, world):
        await east.create("virtualservices", virtual_service(http=[{}]))
        await world.until(lambda world: world.mesh.findings)
        (finding,) = world.mesh.findings
        assert (finding.ref, finding.path) == (Ref("VirtualService", "default", "reviews"), "$.spec.http[0]")
        assert finding.cluster == "east"


async def test_a_silent_watcher_tells_nothing_until_it_speaks(east):
    await east.create("services", service("reviews"))
    async with watched(east, speaks=False) as (watcher, world):
        assert not world.changes
        gone = Ref("Service", "default", "gone")
        watcher.speak(before={gone: next(iter(watcher.facts().values()))})
        assert world.changes[0].key.ref == gone
        assert world.changes[0].value is None
        assert world.clusters_of("reviews") == ("east",)
        watcher.fall_silent()
        count = len(world.changes)
        await east.create("services", service("ratings"))
        ratings = Ref("Service", "default", "ratings")

        async def known():
            return ratings in watcher.facts()

        await eventually(known)
        assert len(world.changes) == count


async def test_names_of_the_control_plane_pods_that_ended_and_secrets_are_not_followed(east):
    labelled = service("istio-pilot", "istio-system", clusterIP="None")
    labelled["metadata"]["labels"] = {FOLLOWS: "control-plane"}
    await east.create("services", labelled)
    await east.create("services", service("reviews"))
    meta = {"name": "istio", "namespace": "istio-system"}
    await east.create(
        "configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mesh": "trustDomain: td"}},
    )
    await east.create(
        "configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta | {"name": "other"}}
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "done", "namespace": "default"},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    }
    made = await east.create("pods", pod)
    await east.set_status("pods", made, {"phase": "Succeeded"})
    async with watched(east) as (watcher, world):
        names = {(ref.kind, ref.name) for ref in watcher.facts()}
        assert ("Service", "reviews") in names
        assert {("Service", "istio-pilot"), ("ConfigMap", "other"), ("Pod", "done")}.isdisjoint(names)
        assert not any(kind == "Secret" for kind, _ in names)
        assert world.mesh.settings.trust_domain == "td"


async def test_an_object_that_does_not_decode_keeps_the_last_good_one(east):
    await east.create("services", service("reviews"))
    async with watched(east) as (watcher, world):
        before = world.mesh.services
        watcher._tell(Ref("Service", "default", "reviews"), _wrong())
        assert world.mesh.services is before
        assert [type(each) for each in world.mesh.findings] == [Finding]


def _wrong():
    return InvalidConfig("$.spec", "is wrong")


class ShiftedClock(SystemClock):
    later_s = 0

    def now(self):
        return super().now() + self.later_s


async def test_a_cluster_out_of_reach_is_told_with_since_when(east):
    (port,) = free_ports(1)
    clock = ShiftedClock()
    watcher = ClusterWatcher(east.spec(server=f"https://127.0.0.1:{port}"), lambda _: None, quick(), clock)
    async with supervise(watcher.run()):

        async def lost():
            return watcher.health().state is ClusterState.UNREACHABLE

        await eventually(lost)
        clock.later_s = 3600
        assert "; so for 1h" in watcher.health().error


@asynccontextmanager
async def of_revision(cluster, revision):
    world = World()
    watcher = ClusterWatcher(cluster.spec(), world.put, msgspec.structs.replace(quick(), revision=revision))
    watcher.speak()
    async with supervise(watcher.run()):
        await watcher.synced()
        yield watcher, world


def rule(name, revision="", **spec):
    labels = {"istio.io/rev": revision} if revision else {}
    meta = {"name": name, "namespace": "default", "labels": labels}
    return {**virtual_service(**spec), "metadata": meta}


async def until_rules(world, *names):
    await world.until(
        lambda world: {ref.name for ref in world.mesh.config.get("VirtualService", {})} == {*names}
    )


async def test_configuration_is_read_by_its_revision_and_without_a_label_by_all(east):
    await east.apply(*custom_resource_definitions())
    http = [{"redirect": {"uri": "/"}}]
    for name, revision in (("all", ""), ("stable", "default"), ("next", "canary")):
        await east.create("virtualservices", rule(name, revision, http=http))
    await east.create("services", {**service("reviews"), "metadata": rule("reviews", "canary")["metadata"]})
    async with of_revision(east, "default") as (stable, here), of_revision(east, "canary") as (new, there):
        await until_rules(here, "all", "stable")
        await until_rules(there, "all", "next")
        assert {ref.name for ref in stable.labelled} == {"stable"}
        assert {ref.name for ref in new.labelled} == {"next"}
        assert here.clusters_of("reviews") == there.clusters_of("reviews") == ("east",), "no configuration"
        await east.apply(rule("next", "default", http=http))
        await until_rules(here, "all", "stable", "next")
        await until_rules(there, "all")
        assert {ref.name for ref in stable.labelled} == {"stable", "next"}
        assert not new.labelled


async def test_what_is_wrong_with_configuration_is_its_own_revisions_matter(east):
    await east.apply(*map(lax, custom_resource_definitions()))
    await east.create("virtualservices", rule("wrong", "canary", http=[{}]))
    async with of_revision(east, "default") as (_, here), of_revision(east, "canary") as (_, there):
        await there.until(lambda world: world.mesh.findings)
        assert not here.mesh.findings


def settings_of_mesh(name, **mesh):
    meta = {"name": name, "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mesh": json.dumps(mesh)}}


@asynccontextmanager
async def told_of(cluster, revision):
    """What a Pilot of the revision, whose configuration is in `east`, hears of the mesh's settings in a cluster."""
    told = {}

    def put(change):
        if change.key.ref.kind == "ConfigMap":
            told[change.key.ref.name] = change.value and json.loads(change.value.data["mesh"])

    watcher = ClusterWatcher(cluster.spec(), put, msgspec.structs.replace(quick(), revision=revision))
    watcher.speak()
    async with supervise(watcher.run()):
        await watcher.synced()
        yield told


async def is_told(told, name, wanted):
    async def holds():
        return told.get(name) == wanted

    await eventually(holds)


async def test_each_revision_reads_settings_of_its_own(east):
    await east.apply(settings_of_mesh("istio", trustDomain="old"))
    async with told_of(east, "default") as stable, told_of(east, "canary") as new:
        await is_told(stable, "istio", {"trustDomain": "old"})
        assert not any(new.values()), "where configuration is, settings of another revision do not count"
        await east.apply(settings_of_mesh("istio-canary", trustDomain="next"))
        await is_told(new, "istio-canary", {"trustDomain": "next"})
        assert "istio-canary" not in stable
        await east.delete("configmaps", "istio-system", "istio-canary")
        await is_told(new, "istio-canary", None)


async def test_of_a_cluster_that_the_revision_has_not_come_to_the_others_settings_count(tmp_path, api_server):
    async with two_clusters(tmp_path) as (_, west), told_of(west, "canary") as told:
        await west.apply(settings_of_mesh("istio", trustDomain="west"))
        await is_told(told, "istio-canary", {"trustDomain": "west"})
        await west.apply(settings_of_mesh("istio-canary", trustDomain="west-next"))
        await is_told(told, "istio-canary", {"trustDomain": "west-next"})
        await west.apply(settings_of_mesh("istio", trustDomain="other"))
        await west.delete("configmaps", "istio-system", "istio-canary")
        await is_told(told, "istio-canary", {"trustDomain": "other"})
        assert set(told) == {"istio-canary"}
