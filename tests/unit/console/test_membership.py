"""A cluster comes into the mesh, is read by another credential, and goes, while real watchers follow it."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from fakes.eventually import eventually
from fakes.pki import Pki
from fakes.two_clusters import World, service, two_clusters
from isthmus.admission.bundles import MUTATING, bundle_patch
from isthmus.api import kind_named
from isthmus.ca import founding, store
from isthmus.console import trust_exchange
from isthmus.console.install.reading import Said, assignment, in_file
from isthmus.console.installation import Installation, documents
from isthmus.console.membership import join as join_module
from isthmus.console.membership.entries import DirectoryEntries, ObjectEntries, SecretEntries
from isthmus.console.membership.join import Joining, join
from isthmus.console.membership.leave import Leaving, leave
from isthmus.console.membership.mesh import Member, Places, Primary, primaries
from isthmus.console.membership.rotate import rotate
from isthmus.console.membership.told import CannotGoOn, State
from isthmus.console.reader_access import ReaderAccess
from isthmus.discovery.access_renewal import Renewals
from isthmus.discovery.cluster_watcher import WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.kept_tokens import NAME, KeptTokens
from isthmus.discovery.registry import FixedSource, Registry
from isthmus.discovery.source_files import FilesSource
from isthmus.discovery.source_objects import ObjectsSource
from isthmus.discovery.source_secrets import SecretsSource
from isthmus.kit import x509
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import KubeError
from isthmus.kube.watch import WatchSettings
from isthmus.model.holdings import CitadelHolding
from unit.discovery.test_source_objects import DEFINITION

ROOT = "istio-system"
QUICKLY = WatchSettings(turn_s=2.0, first_wait_s=0.02, longest_wait_s=0.5)


class Followed:
    """A primary whose Pilot is a fleet in this process: satisfies `mesh.Primary`."""

    def __init__(self, client, fleet, entries, is_secret):
        self.name, self.context, self.client, self.namespace = "east", "east", client, ROOT
        self.entries, self.is_secret, self.fleet = entries, is_secret, fleet
        self.runs = True

    may_read_secrets = Primary.may_read_secrets

    async def has_pilot(self):
        return self.runs

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
        return Joining(**usual | {"skips_checks": True} | more)

    async def join(self, **more):
        return await told(join(self.joining(**more), self.member, (self.primary,)))

    async def leave(self, **more):
        return await told(leave(Leaving(limit_s=20.0, **more), self.member, (self.primary,)))

    async def rotate(self, limit_s=30.0):
        return await told(rotate(self.member, (self.primary,), 600.0, limit_s))


async def run_deployments(cluster):
    """As a cluster's kubelets, and controllers where it has none: what is wanted runs at once."""
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    while True:
        with suppress(KubeError):  # a story may stop the cluster
            for each in await cluster.served.list("pods"):
                if each["status"].get("phase") != "Running":
                    await cluster.set_status("pods", each, ready)
            for each in await cluster.served.list("deployments", group="apps"):
                number, said = each["spec"].get("replicas", 1), each.get("status", {})
                status = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), number)
                status["observedGeneration"] = each["metadata"].get("generation", 1)
                if "conditions" not in said and said | status != said:  # else a controller counts pods
                    await cluster.set_status("deployments", each, status, "apps")
        await asyncio.sleep(0.05)


async def told(steps):
    return {each.step: each async for each in steps}


def states(found):
    return {step: each.state for step, each in found.items()}


@asynccontextmanager
async def mesh_over(folder, *, in_files=False, in_objects=False, runs_pods=True):
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
        jobs = supervise(fleet.run(), *([run_deployments(west)] if runs_pods else ()))
        async with Client(east.access) as here, Client(west.access) as there, jobs:
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
    assert done == {"root", "parts", "rights", "entry", "ready"}
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


async def test_a_name_is_one_clusters_and_a_cluster_has_one_name(mesh):
    await mesh.join()
    twice = mesh.member._replace(name="north")
    with pytest.raises(CannotGoOn, match=r"reads west already, as west \(hint: isthmus clusters leave west "):
        await told(join(mesh.joining(), twice, (mesh.primary,)))
    elsewhere = "https://203.0.113.7:6443"
    assert (await mesh.join(server=elsewhere, dry=True))["entry"].state is State.WOULD  # it may move
    await ReaderAccess(
        mesh.member.client, ROOT, "west"
    ).take_back()  # as another cluster, which has none of these
    with pytest.raises(CannotGoOn, match=r"by the name west Pilot in east reads https://127.* with --dead"):
        await mesh.join(server=elsewhere)


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


async def test_a_cluster_leaves_also_where_no_pilot_runs_to_be_told(mesh):
    await mesh.join()
    mesh.primary.runs = False
    left = await mesh.leave()
    assert left["drain"].state is State.DOUBTFUL
    assert (left["revoke"].state, left["parts"].state) == (State.DONE, State.DONE)
    assert "istio-remote-secret-west" not in await secrets_of(mesh.east)


async def test_a_primary_without_a_pilot_is_called_as_its_namespace_says(mesh):
    label = {"metadata": {"labels": {"topology.istio.io/cluster": "east"}}}
    await mesh.primary.client.merge(kind_named("Namespace"), "", ROOT, label)
    places = Places(mesh.east.served.kubeconfig, [""], ROOT)
    entries = (mesh.primary.entries, True)
    async with primaries(places, lambda _: entries, need_pilot=False) as (found,):
        assert (found.name, await found.has_pilot()) == ("east", False)
    with pytest.raises(KubeError, match="no Pilot runs in namespace"):
        async with primaries(places, lambda _: entries):
            pass


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
    with pytest.raises(CannotGoOn, match=r"--image: .*\n?.*"):
        await mesh.join(image="two words")
    with pytest.raises(CannotGoOn, match=r"key of the mesh's root is not in east \(hint: --ca"):
        await mesh.join(ca=None)
    with pytest.raises(CannotGoOn, match=r"has no secret .* with west \(hint: isthmus clusters join west"):
        await mesh.rotate()


async def test_parts_are_as_the_settings_say_that_a_join_is_given(monkeypatch):
    async def citadels(*_):
        return {}

    monkeypatch.setattr(join_module, "citadels", citadels)
    member, primary = Member("west", "west", None, "mesh"), Followed(None, None, None, False)
    text = "cluster: other\nnetwork: hall\ncontrolPlane: {replicas: 2}\nimage: of-file:1\n"
    said = Said((in_file("remote.yaml", text),), (assignment("citadel.resources.requests.cpu=70m"),))

    made = await join_module.installation(Joining(said=said), member, primary)
    assert (made.cluster, made.namespace, made.network) == ("west", "mesh", "hall")
    assert (made.image, made.control_plane.replicas) == ("of-file:1", 2)
    assert made.citadel.resources.requests["cpu"] == "70m"
    assert (await join_module.installation(Joining(), member, primary)).image == "isthmus:test"
    flags = Joining(said=said, network="dock", image="of-flag:1")
    made = await join_module.installation(flags, member, primary)
    assert (made.network, made.image) == ("dock", "of-flag:1")

    flags = Joining(said=said, injection_url="https://injector.example")
    made = await join_module.installation(flags, member, primary)
    assert (made.injection_url, made.network) == ("https://injector.example", "hall")

    wrong = Said((in_file("remote.yaml", "controlPlane: {replicas: -1}\nnope: 1\n"),))
    with pytest.raises(CannotGoOn, match=r"remote.yaml: controlPlane.replicas: .*\n?.*remote.yaml: nope: "):
        await join_module.installation(Joining(said=wrong), member, primary)


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
    revision = Said(sets=(assignment("revision=next"),))
    found = await mesh.join(network="hall", said=revision)
    assert found["gateway"].state is State.DONE
    namespace = await mesh.west.find("namespaces", "", ROOT)
    assert namespace["metadata"]["labels"]["topology.istio.io/network"] == "hall"
    left = await mesh.leave()
    assert (left["gateway"].state, left["parts"].state) == (State.DONE, State.DONE)


async def test_a_server_that_is_no_address_is_said_before_anything_is_changed(mesh):
    with pytest.raises(CannotGoOn, match=r"--server: 'west' is no address \(hint: https://ADDRESS:PORT\)"):
        await mesh.join(server="west")
    assert await mesh.west.find("serviceaccounts", ROOT, "istio-reader-service-account") is None
    assert "cacerts" not in await secrets_of(mesh.west)


async def test_a_cluster_without_the_namespace_gets_it_and_keeps_it(mesh):
    mesh.member = mesh.member._replace(namespace="mesh")
    found = await mesh.join(limit_s=1.0)  # Pilot here is of another namespace, and may not read that one
    assert found["namespace"].state is State.DONE
    held = await mesh.west.find("configmaps", "mesh", "isthmus-installation-remote")
    assert "v1 Namespace  mesh" in held["data"]["objects"].splitlines()
    assert (await mesh.leave())["parts"].state is State.DONE
    assert await mesh.west.find("namespaces", "", "mesh") is not None


async def test_parts_that_others_changed_are_named_before_anything_is_done(mesh):
    await mesh.join()
    key = ("deployments", ROOT, "istio-citadel", "apps")
    image = (await mesh.west.find(*key))["spec"]["template"]["spec"]["containers"][0]
    other = {"spec": {"template": {"spec": {"containers": [{"name": image["name"], "image": "other:1"}]}}}}
    head = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istio-citadel", "namespace": ROOT},
    }
    await mesh.west.apply(head | other)
    with pytest.raises(CannotGoOn, match=r"Deployment .*image is set by test .*--force-conflicts"):
        await mesh.join()
    assert (await mesh.join(force=True))["parts"].seen == f"1 objects: Deployment {ROOT}/istio-citadel"


async def test_nothing_is_done_where_the_key_of_the_root_is_not_at_hand(mesh):
    with pytest.raises(CannotGoOn, match=r"key of the mesh's root is not in east \(hint: --ca DIRECTORY"):
        await told(join(mesh.joining(ca=None), mesh.member._replace(namespace="new"), (mesh.primary,)))
    assert await mesh.west.find("namespaces", "", "new") is None


def believed_injector():
    """The webhooks of the injector once it has written its roots."""
    (hooks,) = (
        each
        for each in documents("remote", Installation(cluster="west"))
        if each["kind"] == "MutatingWebhookConfiguration"
    )
    for each in hooks["webhooks"]:
        each["clientConfig"]["caBundle"] = base64.b64encode(b"roots").decode()
    return hooks


async def test_parts_that_no_join_brought_stay_when_the_cluster_leaves(mesh):
    parts = documents("remote", Installation(cluster="west"))
    await mesh.west.apply(*(each for each in parts if each["kind"] in {"Namespace", "ServiceAccount"}))
    told_first = await mesh.join(keeps_parts=True, limit_s=2.0)  # Pilot may not read it yet, either
    assert "none of its parts is there yet" in told_first["ready"].seen
    await mesh.west.apply(*parts)
    found = (await mesh.join(keeps_parts=True, limit_s=2.0))["ready"]
    assert "by which roots to believe their webhooks" in found.seen, "no injector runs here to say so"
    await mesh.west.apply(believed_injector())
    found = (await mesh.join(keeps_parts=True))["ready"]
    assert (found.state, found.seen) == (State.AS_IT_WAS, "its parts run")
    assert "no isthmus install remote --apply" in (await mesh.leave())["parts"].seen
    assert await mesh.west.find("deployments", ROOT, "istio-citadel", "apps") is not None


async def test_what_does_not_run_is_said_and_its_webhooks_wait_for_it(tmp_path, api_server):
    hooks = ("mutatingwebhookconfigurations", "", "istio-sidecar-injector", "admissionregistration.k8s.io")
    async with mesh_over(tmp_path, runs_pods=False) as mesh:
        found = await mesh.join(limit_s=2.0)
        assert found["ready"].state is State.LEFT
        (citadel, *_) = (
            found["ready"].seen.removeprefix("not all parts run, and webhooks wait for them: ").split("; ")
        )
        assert citadel.startswith("Deployment istio-system/istio-citadel: ")
        why = {
            "embedded": "there is no pod yet",
            "kube": "is not ready yet",
        }  # upstream's controllers make pods
        assert why[api_server] in citadel
        assert await mesh.west.find(*hooks) is None
        job = asyncio.ensure_future(run_deployments(mesh.west))
        assert (await mesh.join())["ready"].state is State.DONE
        job.cancel()
        assert await mesh.west.find(*hooks) is not None


async def test_a_cluster_that_asks_elsewhere_for_sidecars_has_joined_once_it_believes_who_answers(mesh):
    url, name = "https://injector.example:15017", "istio-sidecar-injector"
    answering = asyncio.create_task(write_roots(mesh.west, name, Pki().roots))
    assert (await mesh.join(injection_url=url))["ready"].state is State.DONE
    await answering
    hooks = await mesh.west.find("mutatingwebhookconfigurations", "", name, MUTATING.group)
    assert {each["clientConfig"]["url"] for each in hooks["webhooks"]} == {f"{url}/inject/cluster/west"}
    assert await mesh.west.find("deployments", ROOT, name, "apps") is None

    await mesh.west.delete("mutatingwebhookconfigurations", "", name, MUTATING.group)
    ready = (await mesh.join(injection_url=url, limit_s=0.5))["ready"]
    assert ready.state is State.LEFT
    assert f"no Pilot that is called as {url} says has written the roots" in ready.seen

    await mesh.west.create("pods", pilot_pod())
    await eventually(mesh.member.has_pilot)
    with pytest.raises(CannotGoOn, match=r"west has a Pilot, and asks nobody elsewhere .*\(hint: "):
        await mesh.join(injection_url=url)


async def write_roots(cluster, name, roots):
    """As whoever is asked does, once he hears of a webhook."""
    async with Client(cluster.access) as client:

        async def written():
            found = await cluster.find("mutatingwebhookconfigurations", "", name, MUTATING.group)
            if found is not None:
                patch, path = bundle_patch(found, roots), path_of(MUTATING, "", name)
                await client.request("PATCH", path, body=patch, content_type="application/json-patch+json")
            return found is not None

        await eventually(written)


def pilot_pod():
    meta = {"name": "istiod-0", "namespace": ROOT, "labels": {"istio": "pilot"}}
    account = {"serviceAccountName": "istio-reader-service-account"}
    spec = account | {"containers": [{"name": "discovery", "image": "isthmus:test"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


async def test_after_a_join_the_clusters_are_looked_at_together(mesh):
    for each in (mesh.east, mesh.west):
        await each.create("nodes", node("10.8.0.0/16"))
    seen = [each async for each in join(mesh.joining(skips_checks=False), mesh.member, (mesh.primary,))]
    found = [each for each in seen if each.step == "check"]
    (ranges,) = [each for each in found if each.seen.startswith("pod-ranges")]
    assert (ranges.state, ranges.cluster) == (State.LEFT, "east")
    assert "10.8.0.0/16 is also of west" in ranges.seen
    assert ranges.why.startswith("An address that two pods have")
    assert "--network" in ranges.mend
    assert "things are well" in found[-1].seen


def node(addresses):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n"},
        "spec": {"podCIDR": addresses, "podCIDRs": [addresses]},
    }


async def test_two_roots_are_told_with_both_ways_or_exchanged_where_that_is_asked_for(mesh, monkeypatch):
    domains = {}

    async def citadels(client, namespace):
        domain = domains[client.access.server]
        return {"citadel": CitadelHolding(cluster="c", trust_domain=domain, issuer="own")}

    for module in (join_module, trust_exchange):
        monkeypatch.setattr(module, "citadels", citadels)
    for each in (mesh.east, mesh.west):
        domains[each.access.server] = f"{each.name}.example"
        founding.found(mesh.folder / f"own-{each.name}", founding.Founding(organisation=each.name))
        root = (mesh.folder / f"own-{each.name}" / store.ROOT_CERT).read_text()
        meta = {"name": "istio-ca-root-cert", "namespace": ROOT}
        await each.create("configmaps", {"metadata": meta, "data": {"root-cert.pem": root}})
    await mesh.west.create("secrets", {"metadata": {"name": "istio-ca-secret", "namespace": ROOT}})

    root = (await mesh.join())["root"]
    assert root.state is State.LEFT
    assert "isthmus ca rotate" in root.mend
    assert "clusters join west --context west --primary east --exchange-roots" in root.mend
    args = await citadel_args(mesh)
    assert "--trust-domain=west.example" in args

    assert (await mesh.join(exchanges_roots=True, dry=True))["exchange"].state is State.WOULD
    assert not await others(mesh.primary.client)
    told_ = (await mesh.join(exchanges_roots=True))["exchange"]
    assert (told_.state, told_.seen) == (
        State.DONE,
        "east.example and west.example believe each other (east)",
    )
    assert set(await others(mesh.primary.client)) == {"west.example"}
    assert set(await others(mesh.member.client)) == {"east.example"}
    assert (await mesh.join(exchanges_roots=True))["exchange"].state is State.AS_IT_WAS
    assert "isthmus trust revoke east west" in (await mesh.leave())["trust"].mend

    domains[mesh.west.access.server] = "east.example"
    one = (await mesh.join(exchanges_roots=True))["exchange"]
    assert one.state is State.LEFT
    assert "both meshes are of trust domain east.example" in one.seen


async def others(client):
    return await trust_exchange.Mesh(client, ROOT).others()


async def citadel_args(mesh):
    found = await mesh.west.find("deployments", ROOT, "istio-citadel", "apps")
    return found["spec"]["template"]["spec"]["containers"][0]["args"]


async def test_a_join_leaves_in_a_primary_an_entry_and_no_right_that_is_there_already(mesh):
    kinds = [("roles", ROOT, "rbac.authorization.k8s.io"), ("secrets", ROOT, ""), ("configmaps", ROOT, "")]

    async def names():
        found = {kind: await mesh.east.served.list(*kind) for kind in kinds}
        return {(kind[0], each["metadata"]["name"]) for kind, made in found.items() for each in made}

    before = await names()
    await mesh.join()
    assert await names() - before == {
        ("roles", "istio-pilot-remote-secrets"),
        ("secrets", "istio-remote-secret-west"),
        ("configmaps", "isthmus-installation-remote-secrets"),
    }
    (role,) = await mesh.east.served.list("roles", ROOT, "rbac.authorization.k8s.io")
    version = role["metadata"]["resourceVersion"]
    assert (await mesh.join())["rights"].state is State.AS_IT_WAS
    (role,) = await mesh.east.served.list("roles", ROOT, "rbac.authorization.k8s.io")
    assert role["metadata"]["resourceVersion"] == version


async def test_a_cluster_that_joins_gets_a_ca_of_its_own_and_never_the_roots_key(mesh):
    await mesh.join()
    held = (await mesh.west.find("secrets", ROOT, "cacerts"))["data"]
    key = (mesh.folder / "ca" / "root-key.pem").read_bytes()
    for each in await mesh.west.served.list("secrets"):
        assert not [
            name for name, text in (each.get("data") or {}).items() if key.strip() in base64.b64decode(text)
        ]
    (signing,) = x509.load_bundle(base64.b64decode(held["ca-cert.pem"]))[:1]
    root = x509.load_bundle(base64.b64decode(held["root-cert.pem"]))
    assert signing.issuer == root[0].subject
    assert signing.subject != root[0].subject
