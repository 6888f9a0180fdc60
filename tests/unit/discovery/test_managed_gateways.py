"""Against the lab's own API server with its controllers: what a Gateway needs comes, changes and goes with it."""

from __future__ import annotations

import pytest

from fakes.eventually import eventually
from fakes.gateway_api import GATEWAY, objects
from fakes.two_clusters import two_clusters
from fakes.working_cluster import at_work
from isthmus.api.crd import gateway_api_definitions
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.discovery.managed_gateways import ManagedGateways
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.lab.apiserver.builtin import builtin
from isthmus.model.from_gateway_api.infrastructure import MANAGED

CLASSES, GATEWAYS = KINDS[0], KINDS[1]
BODY = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"gatewayClassName": "istio", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
}


async def containers(deployment):
    return {"containers": [{"name": "istio-proxy", "image": "envoy"}]}


@pytest.fixture
async def east(tmp_path):
    async with two_clusters(tmp_path) as (first, _), at_work(first.served.server):
        for crd in gateway_api_definitions():
            await first.create("customresourcedefinitions", crd, "apiextensions.k8s.io")
        yield first


@pytest.fixture
async def client(east):
    async with Client(east.access) as made:
        yield made


async def written(client, name="web", year=2026, more=""):
    """The Gateway as the cluster has it, with its uid."""
    body = await client.create(GATEWAYS, BODY | {"metadata": {"name": name, "namespace": "default"}})
    text = GATEWAY.replace("generation: 3", f"uid: {body['metadata']['uid']}{more}")
    (found,) = objects(text.replace("name: web", f"name: {name}").replace("2026", str(year)))
    return found


def there(east, plural, group="", name="web-istio"):
    found = east.api.find(builtin(plural, group), "default", name)
    return found is not None and not found["metadata"].get("deletionTimestamp")


async def until(condition):
    async def holds():
        return condition()

    await eventually(holds)


def whole(east):
    return there(east, "deployments", "apps") and there(east, "services") and there(east, "serviceaccounts")


async def test_what_a_gateway_needs_is_made_mended_and_goes_with_it(east, client):
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until(lambda: whole(east))
        await east.delete("services", "default", "web-istio")
        await until(lambda: whole(east))
        await client.delete(GATEWAYS, "default", "web")
        await until(lambda: not there(east, "deployments", "apps") and not there(east, "serviceaccounts"))
        wanted.set(())


async def test_what_no_gateway_wants_any_more_is_removed_and_nothing_else(east, client):
    other = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "mine", "namespace": "default"},
    }
    await east.create("serviceaccounts", other)
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until(lambda: whole(east))
        wanted.set(())
        await until(lambda: not there(east, "deployments", "apps") and not there(east, "services"))
    assert there(east, "serviceaccounts", name="mine")


async def test_what_others_made_under_such_a_name_stays_as_it_is(east, client):
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web-istio", "namespace": "default"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 9}]},
    }
    await east.create("services", theirs)
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until(lambda: there(east, "deployments", "apps"))
        await east.delete("deployments", "default", "web-istio", "apps")
        await until(lambda: there(east, "deployments", "apps"))
    found = east.api.find(builtin("services"), "default", "web-istio")
    assert found["spec"]["selector"] == {"app": "theirs"} and "labels" not in found["metadata"]


async def test_of_two_gateways_that_want_one_name_who_has_it_keeps_it(east, client):
    override = ', annotations: {gateway.istio.io/name-override: "web-istio"}'
    young, old = await written(client, "young", 2027, override), await written(client)
    wanted = Watchable((young,))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until(lambda: whole(east))
        wanted.set((old, young))
        await east.delete("deployments", "default", "web-istio", "apps")
        await until(lambda: there(east, "deployments", "apps"))
        assert selector_of_service(east) == {"gateway.networking.k8s.io/gateway-name": "young"}
        await client.delete(GATEWAYS, "default", "young")
        wanted.set((old,))
        await until(
            lambda: (
                there(east, "services")
                and selector_of_service(east) == {"gateway.networking.k8s.io/gateway-name": "web"}
            )
        )


def selector_of_service(east):
    return east.api.find(builtin("services"), "default", "web-istio")["spec"]["selector"]


async def test_our_label_comes_back_where_somebody_took_it_away(east, client):
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until(lambda: whole(east))
        await client.request(
            "PATCH",
            "/api/v1/namespaces/default/services/web-istio",
            body={"metadata": {"labels": {MANAGED: None}}},
            content_type="application/merge-patch+json",
        )
        await until(
            lambda: east.api.find(builtin("services"), "default", "web-istio")["metadata"]["labels"].get(
                MANAGED
            )
        )


async def test_a_field_that_somebody_changed_is_put_back(east, client):
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until(lambda: whole(east))
        service = east.api.find(builtin("services"), "default", "web-istio")
        await client.request(
            "PATCH",
            "/api/v1/namespaces/default/services/web-istio",
            body={"spec": {"selector": {"gateway.networking.k8s.io/gateway-name": "other"}}},
            content_type="application/merge-patch+json",
        )
        selector = service["spec"]["selector"]
        await until(
            lambda: east.api.find(builtin("services"), "default", "web-istio")["spec"]["selector"] == selector
        )


async def test_our_class_is_made_once_and_what_is_there_stays(east, client):
    async with supervise(ManagedGateways(client, Watchable(()), containers).run(Watchable(True))):

        async def made():
            try:
                return (await client.get(CLASSES, "", "istio"))["spec"]["controllerName"]
            except NotFound:
                return ""

        async def ours():
            return await made() == "istio.io/gateway-controller"

        await eventually(ours)


async def test_a_gateway_that_cannot_be_made_yet_is_made_later(east, client):
    failures = [KubeError("no settings of proxies yet")] * 2

    async def sometimes(deployment):
        if failures:
            raise failures.pop()
        return await containers(deployment)

    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, sometimes).run(Watchable(True))):
        await until(lambda: whole(east))
