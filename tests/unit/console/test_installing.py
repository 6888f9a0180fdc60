"""An installation is applied, compared and taken away again, at API servers."""

from __future__ import annotations

import asyncio
import sys

import msgspec
import pytest

from fakes.live_cluster import live_cluster
from fakes.place import CRD, Place, few
from isthmus.admission.bundles import MUTATING
from isthmus.admission.tags import is_silenced, silenced
from isthmus.console.install import readiness
from isthmus.console.install.applying import carry_out, plan
from isthmus.console.install.cluster import MANAGER, Key, key_of
from isthmus.console.install.helm import Release
from isthmus.console.install.inventory import inventory_key, keys_in
from isthmus.console.install.readiness import hindrances, is_ready, until_ready
from isthmus.console.install.refusals import CannotInstall
from isthmus.console.install.removing import removal
from isthmus.console.installation import documents
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden

pytestmark = pytest.mark.usefixtures("api_server")

SYSTEM = "istio-system"
ISTIOD = Key("apps/v1", "Deployment", SYSTEM, "istiod")
SETTINGS = Key("v1", "ConfigMap", SYSTEM, "istio")


@pytest.fixture
async def place(tmp_path, api_server):
    async with live_cluster(tmp_path) as served, Client(served.access) as client:
        yield Place(served, client)


async def test_an_installation_that_is_applied_twice_changes_nothing(place):
    first = await place.install(place.role(), chosen=lambda role: documents(*role))
    assert "Deployment istio-system/istiod created" in first
    assert first[0] == "Namespace istio-system created"
    before = await versions(place, place.role())
    second = await place.install(place.role(), chosen=lambda role: documents(*role))
    assert {each.rpartition(" ")[2] for each in second} == {"unchanged"}
    assert await versions(place, place.role()) == before
    assert await place.diff(place.role()) == []


async def versions(place, role):
    keys = {*keys_in(await place.live(inventory_key(*role))), inventory_key(*role)}
    return {key: (await place.live(key))["metadata"]["resourceVersion"] for key in keys}


async def test_what_differs_is_shown_object_by_object_and_nothing_is_changed(place):
    new = await place.diff(place.role())
    assert any(each.startswith("--- (nothing)\n+++ Deployment istio-system/istiod") for each in new)
    assert await place.live(ISTIOD) is None
    await place.install(place.role())
    (deployment,) = await place.diff(place.role(controlPlane={"replicas": 3}))
    assert "\n-  replicas: 1\n+  replicas: 3\n" in deployment
    assert (await place.live(ISTIOD))["spec"]["replicas"] == 1


async def test_what_a_new_installation_has_no_more_is_pruned_and_what_others_took_over_is_not(place):
    apart = place.role(layout="apart")
    await place.install(apart)
    policy = Key("networking.k8s.io/v1", "NetworkPolicy", SYSTEM, "istio-citadel")
    meta = {"labels": {"app.kubernetes.io/managed-by": "me"}}
    body = {"apiVersion": policy.api_version, "kind": policy.kind}
    await place.served.apply({**body, "metadata": {"name": policy.name, "namespace": SYSTEM, **meta}})
    shown = await place.diff(place.role())
    assert any("Deployment istio-system/istio-citadel (there)\n+++ (nothing)" in each for each in shown)
    said = await place.install(place.role())
    assert "Deployment istio-system/istio-citadel pruned" in said
    assert "ServiceAccount istio-system/istio-citadel-service-account pruned" in said
    assert await place.live(policy) is not None
    assert await place.live(ISTIOD) is not None
    assert said.index("Deployment istio-system/istiod created") < said.index(
        "Deployment istio-system/istio-pilot pruned"
    )


async def test_what_somebody_else_set_is_named_with_who_did_and_nothing_is_changed_before_it_is_settled(
    place,
):
    await place.install(place.role())
    await place.change(SETTINGS, data={"mesh": "mine: true\n"})
    await place.change(ISTIOD, spec={"replicas": 7})
    with pytest.raises(CannotInstall) as found:
        await place.install(place.role(accessLog="/dev/stdout", controlPlane={"replicas": 2}))
    hint = "(hint: --force-conflicts takes it over; or let that one give it up)"
    assert sorted(found.value.lines) == [
        f"ConfigMap istio-system/istio: .data.mesh is set by test to something else {hint}",
        f"Deployment istio-system/istiod: .spec.replicas is set by test to something else {hint}",
    ]
    assert (await place.live(ISTIOD))["spec"]["replicas"] == 7
    await place.install(place.role(controlPlane={"replicas": 2}), force=True)
    assert (await place.live(ISTIOD))["spec"]["replicas"] == 2


async def test_what_kubectl_applied_of_the_same_is_no_conflict(place):
    for each in few(place.role()):
        await place.served.apply(each)
    said = await place.install(place.role())
    assert "MutatingWebhookConfiguration istio-sidecar-injector unchanged" in said


async def test_how_an_object_is_doing_meanwhile_is_no_change_of_it(place):
    role, said = place.role(), []
    await place.install(role)
    todo = await plan(place.cluster, role, few(role))
    status = {"replicas": 1, "observedGeneration": 1}
    await place.served.set_status("deployments", await place.live(ISTIOD), status, "apps")
    await carry_out(place.cluster, role, todo, said.append, force=False)
    assert "Deployment istio-system/istiod unchanged" in said


async def test_fields_of_others_that_are_no_matter_of_ours_stay(place):
    await place.install(place.role())
    await place.change(ISTIOD, metadata={"name": "istiod", "namespace": SYSTEM, "annotations": {"a": "b"}})
    await place.install(place.role(controlPlane={"replicas": 2}))
    found = await place.live(ISTIOD)
    assert found["metadata"]["annotations"]["a"] == "b"
    assert {each["manager"] for each in found["metadata"]["managedFields"]} >= {"test", MANAGER}


async def test_an_autoscaler_keeps_its_number_of_pods(place):
    auto = place.role(controlPlane={"autoscaling": {"enabled": True}})
    await place.install(auto)
    await place.change(ISTIOD, spec={"replicas": 4})
    await place.install(auto)
    assert (await place.live(ISTIOD))["spec"]["replicas"] == 4


async def test_whoever_is_interrupted_goes_on_and_nothing_is_forgotten(place):
    apart, together = place.role(layout="apart"), place.role()

    class Cut(Exception):
        pass

    def until(word):
        def tell(line):
            if word in line:
                raise Cut

        return tell

    for word in ("ServiceAccount istio-system/istio-citadel", "Deployment istio-system/istio-citadel"):
        todo = await plan(place.cluster, apart, few(apart))
        with pytest.raises(Cut):
            await carry_out(place.cluster, apart, todo, until(word), force=False)
    said = await place.install(together)
    assert "Deployment istio-system/istio-citadel pruned" in said
    assert "ServiceAccount istio-system/istio-citadel-service-account pruned" in said
    assert await place.install(together) == [
        f"{line.rpartition(' ')[0]} unchanged" for line in said if "pruned" not in line
    ]


async def test_definitions_that_somebody_else_brought_are_used_and_left(place):
    (istios, *_) = [each for each in few(place.role()) if each["kind"] == CRD]
    istios["metadata"]["labels"] = {"app": "istio-pilot", "chart": "istio"}
    await place.served.apply(istios)
    name = istios["metadata"]["name"]
    said = await place.install(place.role())
    assert f"{CRD} {name} left, it is not ours" in said
    assert (await place.live(Key("apiextensions.k8s.io/v1", CRD, "", name)))["metadata"]["labels"][
        "chart"
    ] == "istio"
    todo, _ = await place.uninstall(place.role(), purge=True)
    assert name not in {each.name for each in todo.going}


async def test_definitions_of_an_earlier_isthmus_are_brought_up_to_date(place):
    (ours, *_) = [each for each in few(place.role()) if each["kind"] == CRD]
    ours["metadata"]["labels"] = {"app": "istio-pilot"}
    await place.served.apply(ours)
    said = await place.install(place.role())
    assert f"{CRD} {ours['metadata']['name']} changed" in said


async def test_to_uninstall_leaves_kinds_and_the_namespace_unless_they_are_purged(place):
    await place.install(place.role())
    route = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
    await place.served.apply(
        {**route, "metadata": {"name": "web", "namespace": "default"}, "spec": {"hosts": ["web"]}}
    )
    todo, said = await place.uninstall(place.role())
    assert todo.losses == ()
    assert "Deployment istio-system/istiod deleted" in said
    assert await place.live(ISTIOD) is None
    assert await place.live(Key(route["apiVersion"], route["kind"], "default", "web"))
    todo, said = await place.uninstall(place.role(), purge=True)
    assert "1 VirtualService" in todo.losses
    assert said[-1] == "Namespace istio-system deleted"
    with pytest.raises(CannotInstall, match="nothing was installed with --apply"):
        await place.uninstall(place.role(revision="other"))


async def test_a_namespace_that_was_there_before_is_not_purged(place):
    await place.served.create(
        "namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    )
    await place.install(place.role())
    await place.install(place.role())
    todo, _ = await place.uninstall(place.role(), purge=True)
    assert "Namespace" not in {each.kind for each in todo.going}


async def test_what_two_revisions_share_stays_until_the_last_one_goes(place):
    plain, canary = place.role(), place.role(revision="canary")
    await place.install(plain)
    said = await place.install(canary)
    assert "Service istio-system/istio-citadel unchanged" in said
    assert "Deployment istio-system/istiod-canary created" in said
    todo, _ = await place.uninstall(canary, purge=True)
    assert {each.kind for each in todo.going}.isdisjoint({"Namespace", CRD})
    assert await place.live(Key("v1", "Service", SYSTEM, "istio-citadel"))
    assert await place.live(ISTIOD)
    assert await place.live(ISTIOD._replace(name="istiod-canary")) is None
    todo, _ = await place.uninstall(plain)
    assert Key("v1", "Service", SYSTEM, "istio-citadel") in todo.going


async def test_what_the_api_server_refuses_is_all_told_before_anything_is_done(place):
    broken = place.role(
        controlPlane={
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": 1}}
            }
        }
    )
    await place.install(place.role())
    with pytest.raises(CannotInstall, match="Deployment istio-system/istiod: "):
        await place.install(broken)
    with pytest.raises(CannotInstall) as found:
        await place.install(place.role("networks", network="a", namespace="nowhere"))
    assert len(found.value.lines) == 3
    assert "(hint: kubectl create namespace nowhere)" in found.value.lines[0]


async def test_kinds_that_are_not_there_are_named_with_what_brings_them(place):
    await place.served.create(
        "namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    )
    with pytest.raises(
        CannotInstall, match=r"has no kind Gateway of networking\.istio\.io/v1 .hint: isthmus install"
    ):
        await place.install(place.role("networks"))


async def test_a_deployment_is_waited_for_and_what_hinders_is_told(place):
    await place.install(place.role())
    assert not is_ready(await place.live(ISTIOD))
    told: list[str] = []
    (line,) = await until_ready(place.cluster, [ISTIOD], 1.0, told.append)
    assert line.startswith("Deployment istio-system/istiod: ")
    assert told == ["waiting until ready: Deployment istio-system/istiod"]
    found = await place.live(ISTIOD)
    generation = found["metadata"]["generation"]
    status = {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    assert is_ready(msgspec.json.decode(msgspec.json.encode(found | {"status": status})))
    assert not is_ready(found | {"status": status | {"observedGeneration": generation - 1}})
    assert not is_ready(found | {"status": status | {"replicas": 2}})  # an old pod is still there


async def test_what_hinders_is_told_while_it_is_waited_for(place, monkeypatch):
    await place.install(place.role())
    monkeypatch.setattr(readiness, "_LOOK_S", 0.0)
    told: asyncio.Queue[str] = asyncio.Queue()
    async with supervise(until_ready(place.cluster, [ISTIOD], 60, told.put_nowait)):
        await told.get()
        assert (await told.get()).startswith("waiting: Deployment istio-system/istiod: ")


async def test_who_may_not_look_at_pods_may_wait_for_them(place, monkeypatch):
    await place.install(place.role())
    monkeypatch.setattr(readiness, "_LOOK_S", 0.0)
    told: asyncio.Queue[str] = asyncio.Queue()

    async def refuses(*_):
        raise Forbidden(403, "Forbidden", "may not list pods")

    monkeypatch.setattr(place.cluster, "each", refuses)
    async with supervise(until_ready(place.cluster, [ISTIOD], 60, told.put_nowait)):
        await told.get()
        assert await told.get() == "waiting: may not list pods"


async def test_pods_say_what_hinders_them(place):
    await place.install(place.role())
    template = (await place.live(ISTIOD))["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "istiod-0", "namespace": SYSTEM, "labels": template["metadata"]["labels"]},
        "spec": {"containers": [{"name": "discovery", "image": "none"}]},
    }
    for name in ("default",):
        account = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": SYSTEM},
        }
        await place.served.apply(account)
    await place.served.create("pods", pod)
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    status = {
        "containerStatuses": [
            {
                "name": "discovery",
                "state": waiting,
                "ready": False,
                "image": "none",
                "imageID": "",
                "restartCount": 0,
            }
        ]
    }
    path = f"/api/v1/namespaces/{SYSTEM}/pods/istiod-0/status"
    await place.cluster.client.request(
        "PATCH", path, body={"status": status}, content_type="application/merge-patch+json"
    )
    lines = await hindrances(place.cluster, ISTIOD)
    told = "Deployment istio-system/istiod: pod istiod-0: container discovery ImagePullBackOff: no such image"
    assert told in lines


async def isthmus(place, *words):
    """How the command ends, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from isthmus.console.cli import main; main()", *words,
        "--kubeconfig", place.served.kubeconfig,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.embedded("what the commands do is asked at both above")
async def test_the_commands_end_as_kubectl_diff_does_and_ask_before_they_take_away(place):
    citadel = ISTIOD._replace(name="istio-citadel")
    east = ("install", "remote", "--cluster", "east")
    assert (await isthmus(place, *east, "--dry-run"))[0] == 1
    code, said = await isthmus(place, *east, "--apply", "--timeout", "1s")
    assert (code, "not all is ready" in said) == (2, True), said
    code, said = await isthmus(place, *east, "--dry-run")  # webhooks wait for who answers them
    assert (code, said.count("+++ ")) == (1, said.count("+++ MutatingWebhookConfiguration ")), said
    assert (await isthmus(place, *east, "--apply", "--no-wait"))[0] == 0
    assert await isthmus(place, *east, "--dry-run") == (0, "")
    code, said = await isthmus(place, "uninstall", "remote")
    assert code == 1
    assert "goes: Deployment istio-system/istio-citadel" in said
    assert await place.live(citadel) is not None
    assert (await isthmus(place, "uninstall", "remote", "--yes"))[0] == 0
    assert await place.live(citadel) is None


@pytest.mark.parametrize("layout", ["together", "apart"])
async def test_pods_are_let_in_where_the_namespace_asks_for_the_strictest_standard(place, layout):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    meta = {"name": SYSTEM, "labels": labels}
    await place.served.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    for name in ("primary", "gateway", "egress-gateway", "eastwest"):
        role = place.role(name, layout=layout, network="cloud")
        await place.install(role)
        for each in few(role):
            if each["kind"] == "Deployment":
                template = each["spec"]["template"]
                meta = {"name": "tried", "namespace": SYSTEM, "labels": template["metadata"]["labels"]}
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
                path = f"/api/v1/namespaces/{SYSTEM}/pods"
                await place.cluster.client.request("POST", path, query={"dryRun": "All"}, body=pod)
    found = await place.live(Key("v1", "Namespace", "", SYSTEM))
    assert labels.items() <= found["metadata"]["labels"].items()


async def test_who_uninstalls_a_revision_is_told_whom_it_serves(place):
    canary = place.role(revision="canary")
    await place.install(canary)
    await place.served.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "shop", "labels": {"istio.io/rev": "canary"}},
        }
    )
    todo = await removal(place.cluster, canary, purge=False)
    assert todo.losses == ("the injector of namespace shop, which says istio.io/rev=canary",)
    assert (await removal(place.cluster, await installed_too(place), purge=False)).losses == ()


async def installed_too(place):
    """Revision `default`, beside the canary."""
    role = place.role()
    await place.install(role)
    return role


async def test_to_install_the_silent_revision_anew_leaves_it_silent(place):
    role = await installed_too(place)
    key = Key("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-sidecar-injector")
    asking = await place.live(key)
    silent = silenced(asking, silent=True)
    await place.cluster.client.merge(MUTATING, "", key.name, {"webhooks": silent["webhooks"]})
    await place.install(place.role(webhooks={"timeoutSeconds": 3}))  # without --force-conflicts
    found = await place.live(key)
    assert is_silenced(found)
    assert {each["timeoutSeconds"] for each in found["webhooks"]} == {3}
    assert not is_silenced(silenced(found, silent=False))
    assert [each async for each in nothing_differs(place, role)] == []


async def nothing_differs(place, role):
    """The lines in which the webhook would become another but for what was changed meanwhile."""
    for line in await place.diff(role):
        if "never-match" in str(line):
            yield line


EDGE = Key("apps/v1", "Deployment", SYSTEM, "istio-ingressgateway")
NOTE = Key("v1", "Secret", SYSTEM, "sh.helm.release.v1.edge.v1")
RELEASE = "Helm release edge in namespace istio-system"


def test_of_a_release_that_anybody_may_have_named_words_stay_words():
    release = Release("a b", "x; reboot")
    assert release.words == "'x; reboot' -n 'a b'"
    assert release.records == "kubectl delete secret -n 'a b' -l 'owner=helm,name=x; reboot'"


RECORDS = "kubectl delete secret -n istio-system -l owner=helm,name=edge"


async def put_there_by_helm(place, role):
    """As Helm does it, with its note of the release."""
    marks = {"meta.helm.sh/release-name": "edge", "meta.helm.sh/release-namespace": SYSTEM}
    note = {"name": NOTE.name, "namespace": SYSTEM, "labels": {"owner": "helm", "name": "edge"}}
    objects = few(role)
    for each in objects:
        meta = each["metadata"]
        meta["annotations"] = meta.get("annotations", {}) | marks
        meta["labels"] |= {"app.kubernetes.io/managed-by": "Helm"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    await place.served.apply(space, *objects, {"apiVersion": "v1", "kind": "Secret", "metadata": note})
    return f"{key_of(objects[0])} and {len(objects) - 1} more"


async def refusals(doing):
    with pytest.raises(CannotInstall) as found:
        await doing
    return found.value.lines


async def test_what_helm_installed_is_helms_until_it_is_taken_over_and_what_helm_takes_over_is_helms(place):
    role = place.role("gateway")
    what = await put_there_by_helm(place, role)
    upgrade = "helm upgrade edge -n istio-system changes it"
    hint = f"(hint: {upgrade}; to go on without Helm: {RECORDS}, then --force-conflicts)"
    assert await refusals(place.install(role)) == (f"{what}: installed by {RELEASE} {hint}",)
    hint = "(hint: helm uninstall edge -n istio-system)"
    assert await refusals(removal(place.cluster, role, purge=False)) == (
        f"gateway: installed by {RELEASE} {hint}",
    )
    (line,) = await refusals(removal(place.cluster, place.role("gateway", revision="canary"), purge=False))
    assert line.startswith("no inventory istio-system/isthmus-installation-gateway-canary: ")

    warning = f"{RELEASE} still has these objects: Helm 3 would delete them with it (hint: {RECORDS})"
    assert warning in await place.install(role, force=True)
    assert (await place.live(EDGE))["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "isthmus"
    assert warning not in await place.install(role)

    await put_there_by_helm(place, role)
    await place.cluster.delete(NOTE)
    hint = "(hint: --force-conflicts takes over what it left)"
    assert await refusals(place.install(role)) == (
        f"{what}: left by {RELEASE}, which Helm knows no more {hint}",
    )
    todo, said = await place.uninstall(role)
    assert f"{EDGE}: {RELEASE} has it (hint: helm uninstall edge -n istio-system)" in todo.staying
    assert (todo.going, said) == ((), [])
    assert await place.live(EDGE) is not None
    assert await place.live(inventory_key(*role)) is None
