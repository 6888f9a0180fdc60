"""A cluster comes into the mesh, is read by another credential, and goes, while real watchers follow it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import pytest

from fakes.two_clusters import World, service, two_clusters
from isthmus.api import kind_named
from isthmus.ca import founding
from isthmus.console.installation import Installation, documents
from isthmus.console.membership.entries import DirectoryEntries, ObjectEntries, SecretEntries
from isthmus.console.membership.join import Joining, join
from isthmus.console.membership.leave import Leaving, leave
from isthmus.console.membership.mesh import Member
from isthmus.console.membership.rotate import rotate
from isthmus.console.membership.told import CannotGoOn, State
from isthmus.discovery.access_renewal import Renewals
from isthmus.discovery.cluster_watcher import WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.kept_tokens import NAME, KeptTokens
from isthmus.discovery.registry import FixedSource, Registry
from isthmus.discovery.source_files import FilesSource
from isthmus.discovery.source_objects import ObjectsSource
from isthmus.discovery.source_secrets import SecretsSource
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.watch import WatchSettings
from unit.discovery.test_source_objects import DEFINITION

ROOT = "istio-system"
QUICKLY = WatchSettings(turn_s=2.0, first_wait_s=0.02, longest_wait_s=0.05)


class Followed:
    """A primary whose Pilot is a fleet in this process: satisfies `mesh.Primary`."""

    def __init__(self, client, fleet, entries, is_secret):
        self.name, self.context, self.client, self.namespace = "east", "east", client, ROOT
        self.entries, self.is_secret, self.fleet = entries, is_secret, fleet

    async def choices(self):
        return {"image": "isthmus:test"}

    async def pages(self, path):
        assert path == "/debug/proxies"
        return [[{"types": {"eds": {"state": "SYNCED"}}}]]

    async def of(self, cluster):
        said = [msgspec.to_builtins(status) for status in self.fleet.status()]
        return [next((each for each in said if each["id"] == cluster), None)]


class Mesh:
    """Two clusters, one of which is primary."""

    def __init__(self, east, west, member, primary, world, folder):
        self.east, self.west, self.member, self.primary = east, west, member, primary
        self.world, self.folder = world, folder

    def joining(self, **more):
        usual = {"server": self.west.served.url, "life_s": 600.0, "ca": self.folder / "ca", "limit_s": 30.0}
        return Joining(**usual | more)

    async def join(self, **more):
        return await told(join(self.joining(**more), self.member, (self.primary,)))

    async def leave(self, **more):
        return await told(leave(Leaving(limit_s=20.0, **more), self.member, (self.primary,)))

    async def rotate(self, limit_s=30.0):
        return await told(rotate(self.member, (self.primary,), 600.0, limit_s))


async def told(steps):
    return {each.step: each async for each in steps}


def states(found):
    return {step: each.state for step, each in found.items()}


@asynccontextmanager
async def mesh_over(folder, *, in_files=False, in_objects=False):
    founding.found(folder / "ca", founding.Founding(clusters=("east",)))
    async with two_clusters(folder) as (east, west):
        await west.create("services", service("reviews"))
        kept = [
            each
            for each in documents("primary", Installation(cluster="east"))
            if each["metadata"]["name"] == NAME
        ]
        await east.apply(*kept)
        registry = folder / "registry"
        registry.mkdir()
        world = World()
        own = FixedSource(east.spec())
        others = FilesSource(registry) if in_files else SecretsSource(east.access, ROOT)
        if in_objects:
            await east.apply(DEFINITION)
            others = ObjectsSource(east.access, ROOT, watch=QUICKLY)
        settings = WatcherSettings(watch=QUICKLY, renewals=Renewals(KeptTokens(east.access, ROOT)))
        fleet = Fleet(Registry((own, others)), world.put, settings)
        async with Client(east.access) as here, Client(west.access) as there, supervise(fleet.run()):
            entries = (
                DirectoryEntries(registry, "west", "istio-pilot.istio-system:15012")
                if in_files
                else (ObjectEntries if in_objects else SecretEntries)(here, ROOT, "west")
            )
            primary = Followed(here, fleet, entries, not in_files)
            yield Mesh(east, west, Member("west", "west", there, ROOT), primary, world, folder)


@pytest.fixture
async def mesh(tmp_path, api_server):
    async with mesh_over(tmp_path) as made:
        yield made


async def secrets_of(cluster):
    found = await cluster.served.list("secrets", ROOT)
    return {each["metadata"]["name"] for each in found}


async def test_one_command_joins_and_given_again_it_changes_nothing_and_leave_undoes_it(mesh):
    would = await mesh.join(dry=True)
    assert State.DONE not in states(would).values()
    assert would["parts"].state is State.WOULD
    assert await mesh.west.find("serviceaccounts", ROOT, "istio-reader-service-account") is None
    assert "istio-remote-secret-west" not in await secrets_of(mesh.east)

    first = await mesh.join()
    done = {step for step, each in first.items() if each.state is State.DONE}
    assert done == {"namespace", "root", "parts", "rights", "entry"}
    assert "follows it" in first["follow"].seen
    assert mesh.world.clusters_of("reviews") == ("west",)
    image = (await mesh.west.find("deployments", ROOT, "istio-citadel", "apps"))["spec"]["template"]["spec"]
    assert image["containers"][0]["image"] == "isthmus:test"

    before = await secrets_of(mesh.west), await secrets_of(mesh.east)
    again = await mesh.join()
    assert set(states(again).values()) == {State.AS_IT_WAS}
    assert (await secrets_of(mesh.west), await secrets_of(mesh.east)) == before

    assert set(states(await mesh.leave(dry=True)).values()) <= {State.WOULD, State.AS_IT_WAS}
    left = await mesh.leave()
    assert State.LEFT not in states(left).values()
    await mesh.world.until(lambda world: not world.clusters_of("reviews"))
    assert not {name for name in await secrets_of(mesh.west) if "access" in name or name == "cacerts"}
    assert await mesh.west.find("serviceaccounts", ROOT, "istio-reader-service-account") is None
    assert "istio-remote-secret-west" not in await secrets_of(mesh.east)
    assert set(states(await mesh.leave()).values()) == {State.AS_IT_WAS}


async def test_a_credential_is_rotated_without_a_gap_and_the_old_one_ends(mesh):
    await mesh.join()
    (old,) = [name for name in await secrets_of(mesh.west) if name.startswith("istio-reader-access-")]
    before = len(mesh.world.changes)
    found = await mesh.rotate()
    (new,) = [name for name in await secrets_of(mesh.west) if name.startswith("istio-reader-access-")]
    assert new != old
    assert found["revoke"].seen == f"ended: {old}"
    (said,) = await mesh.primary.of("west")
    assert (said["state"], said["access"]["bound_to"]) == ("synced", f"Secret {new}")
    assert not [change for change in mesh.world.changes[before:] if change.value is None]
    assert (await mesh.join())["entry"].state is State.AS_IT_WAS


async def test_a_join_that_was_cut_off_goes_on_where_it_was(mesh):
    steps = join(mesh.joining(), mesh.member, (mesh.primary,))
    async for each in steps:
        if each.step == "parts":
            break
    await steps.aclose()
    rest = await mesh.join()
    assert [rest[step].state for step in ("namespace", "root", "parts")] == [State.AS_IT_WAS] * 3
    assert rest["entry"].state is State.DONE


async def test_a_dead_cluster_leaves_and_what_stays_in_it_is_said_with_the_command_for_later(mesh):
    await mesh.join()
    await mesh.west.served.stop_serving()
    left = await mesh.leave()
    assert left["entry"].state is State.DONE
    assert left["drain"].state is State.AS_IT_WAS
    await mesh.world.until(lambda world: not world.clusters_of("reviews"))
    assert left["parts"].state is State.LEFT
    assert left["parts"].mend == "isthmus clusters leave west --context west --primary east (once it is back)"
    assert (await mesh.leave(is_dead=True))["parts"].state is State.LEFT


async def test_nothing_is_taken_back_while_a_pilot_has_not_taken_the_new_credential_over(mesh):
    await mesh.join()
    mesh.primary.fleet = Fleet(Registry((FixedSource(),)), mesh.world.put, WatcherSettings())  # hears nothing
    with pytest.raises(CannotGoOn, match=r"has not taken .* over: .*nothing was taken back"):
        await mesh.rotate(limit_s=1.0)
    names = [name for name in await secrets_of(mesh.west) if name.startswith("istio-reader-access-")]
    assert len(names) == 2


async def test_what_cannot_join_is_said_before_anything_is_done(mesh):
    itself = Member("other", "east", mesh.primary.client, ROOT)
    with pytest.raises(CannotGoOn, match="is the cluster of Pilot itself"):
        await told(join(mesh.joining(), itself, (mesh.primary,)))
    same = mesh.member._replace(name="east")
    with pytest.raises(CannotGoOn, match=r"is called east already \(hint"):
        await told(join(mesh.joining(), same, (mesh.primary,)))
    with pytest.raises(CannotGoOn, match=r"key of the mesh's root is not in east \(hint: --ca"):
        await mesh.join(ca=None)
    with pytest.raises(CannotGoOn, match=r"has no secret .* with west \(hint: isthmus clusters join west"):
        await mesh.rotate()


async def test_an_entry_among_several_in_one_secret_is_changed_and_taken_out_alone(mesh):
    await mesh.join()
    secret = await mesh.east.find("secrets", ROOT, "istio-remote-secret-west")
    secret["data"]["north"] = secret["data"]["west"]
    patch = {"data": secret["data"]}
    await mesh.primary.client.merge(kind_named("Secret"), ROOT, "istio-remote-secret-west", patch)
    await mesh.rotate()
    await mesh.leave()
    left = await mesh.east.find("secrets", ROOT, "istio-remote-secret-west")
    assert set(left["data"]) == {"north"}
    assert left["data"]["north"] == secret["data"]["north"]


async def test_a_directory_is_as_good_as_secrets(tmp_path, api_server):
    async with mesh_over(tmp_path, in_files=True) as mesh:
        first = await mesh.join()
        assert "rights" not in first
        assert first["entry"].state is State.DONE
        await mesh.rotate()
        assert set(states(await mesh.join()).values()) == {State.AS_IT_WAS}
        await mesh.leave()
        assert not list((tmp_path / "registry").iterdir())
        await mesh.world.until(lambda world: not world.clusters_of("reviews"))


async def test_objects_of_the_cluster_registry_are_as_good(tmp_path, api_server):
    async with mesh_over(tmp_path, in_objects=True) as mesh:
        assert (await mesh.join())["follow"].state is State.AS_IT_WAS
        await mesh.rotate()
        assert set(states(await mesh.join()).values()) == {State.AS_IT_WAS}
        await mesh.leave()
        assert "istio-cluster-west" not in await secrets_of(mesh.east)
        await mesh.world.until(lambda world: not world.clusters_of("reviews"))


async def test_a_cluster_on_a_network_of_its_own_gets_a_gateway(mesh):
    found = await mesh.join(network="hall")
    assert found["gateway"].state is State.DONE
    namespace = await mesh.west.find("namespaces", "", ROOT)
    assert namespace["metadata"]["labels"]["topology.istio.io/network"] == "hall"
    assert (await mesh.leave())["gateway"].state is State.DONE


async def test_a_server_that_is_no_address_is_said_before_anything_is_changed(mesh):
    with pytest.raises(CannotGoOn, match=r"--server: 'west' is no address \(hint: https://ADDRESS:PORT\)"):
        await mesh.join(server="west")
    assert await mesh.west.find("serviceaccounts", ROOT, "istio-reader-service-account") is None
    assert "cacerts" not in await secrets_of(mesh.west)
