"""The Helm chart at an API server: what is there then is what `isthmus install --apply` puts there."""

from __future__ import annotations

import pytest

from fakes.helm import helm_program, written
from fakes.live_cluster import live_cluster
from fakes.place import CRD, Place, few
from isthmus.console.chart.made import KEPT, files, unfolded
from isthmus.console.install.cluster import Key, key_of
from isthmus.console.install.refusals import CannotInstall
from isthmus.console.installation import documents
from isthmus.kube.client import Client

pytestmark = [pytest.mark.helm, pytest.mark.usefixtures("api_server")]

SYSTEM = "istio-system"
ISTIOD = Key("apps/v1", "Deployment", SYSTEM, "istiod")
RELEASE = f"installed by Helm release isthmus in namespace {SYSTEM} "
SET = ("--set=cluster=east", "--set=withNamespace=true")
OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")
ADDRESSES = ("clusterIP", "clusterIPs")


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    """The chart, as far as it is about a primary in one Deployment."""

    def some():
        for name, text in files():
            yield name, text
            if name == "templates/primary-together.yaml":
                return

    return written(tmp_path_factory.mktemp("chart") / "isthmus", some())


@pytest.fixture
async def helm(tmp_path, chart, api_server):
    """Helm in a cluster of its own, as a function of what it is told; and that cluster as a place."""
    async with live_cluster(tmp_path) as served, Client(served.access) as client:

        async def told(word, *more):
            process = await served.start(helm_program(), word, "isthmus", *more, f"--namespace={SYSTEM}")
            _, err = await process.communicate()
            assert process.returncode == 0, err.decode()

        yield told, Place(served, client)


def said(found):
    """What somebody said of an object, without what API servers and Helm add."""
    meta = {name: each for name, each in found["metadata"].items() if name not in OF_THE_SERVER}
    labels = {key: each for key, each in meta.get("labels", {}).items() if not key.endswith("managed-by")}
    notes = {
        key: each
        for key, each in meta.pop("annotations", {}).items()
        if not key.startswith("meta.helm.sh/") and key not in KEPT
    }
    spec = found.get("spec")
    if found["kind"] == "Service":
        spec = {key: each for key, each in spec.items() if key not in ADDRESSES}
    rest = {key: each for key, each in found.items() if key not in {"status", "metadata", "spec"}}
    return rest | {"spec": spec, "metadata": meta | {"labels": labels, "annotations": notes}}


async def found(place, keys):
    return {key: said(unfolded(await place.live(key))) for key in keys}


@pytest.mark.timeout(300)
async def test_helm_puts_there_what_isthmus_does_and_leaves_what_is_not_its_own(tmp_path, helm, chart):
    told, by_helm = helm
    istios, ours = (each for each in few(by_helm.role()) if each["kind"] == CRD)
    istios["metadata"]["labels"] = {"app": "istio-pilot", "chart": "istio"}
    (tmp_path / "us").mkdir()
    async with live_cluster(tmp_path / "us") as served, Client(served.access) as client:
        by_us = Place(served, client)
        for each in (by_us, by_helm):
            await each.served.apply(istios)
        await by_us.install(by_us.role(), chosen=lambda role: documents(*role))
        keys = [key_of(each) for each in documents(*by_us.role())]
        wanted = await found(by_us, keys)
    await told("install", chart, *SET, "--create-namespace", "--take-ownership")
    assert await found(by_helm, keys) == wanted

    with pytest.raises(CannotInstall, match=RELEASE):
        await by_helm.install(by_helm.role())
    with pytest.raises(CannotInstall, match=RELEASE):
        await by_helm.uninstall(by_helm.role())

    before = {key: (await by_helm.live(key))["metadata"]["uid"] for key in keys}
    await told("upgrade", chart, *SET, "--set=controlPlane.replicas=3")
    assert {key: (await by_helm.live(key))["metadata"]["uid"] for key in keys} == before
    assert (await by_helm.live(ISTIOD))["spec"]["replicas"] == 3

    await told("rollback", "1")
    assert await found(by_helm, keys) == wanted

    await told("uninstall")
    left = {key.kind for key in keys if await by_helm.live(key) is not None}
    assert left == {CRD, "Namespace"}
    for each in (istios, ours):
        assert said(await by_helm.live(key_of(each))) == wanted[key_of(each)]
