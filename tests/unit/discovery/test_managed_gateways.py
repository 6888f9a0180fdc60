"""At an API server with its controllers: what a Gateway needs comes, changes and goes with it."""

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
async def east(tmp_path, api_server):
    async with two_clusters(tmp_path, gateway_api_definitions()) as (first, _), at_work(first.served):
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


async def there(east, plural, group="", name="web-istio"):
    found = await east.find(plural, "default", name, group)
    return found is not None and not found["metadata"].get("deletionTimestamp")


DEPLOYMENT, SERVICE, ACCOUNT = ("deployments", "apps"), ("services",), ("serviceaccounts",)


async def until_there(east, *parts):
    async def holds():
        return all([await there(east, *each) for each in parts])

    await eventually(holds)


async def until_gone(east, *parts):
    async def holds():
        return not any([await there(east, *each) for each in parts])

    await eventually(holds, 100)  # a real collector learns of new kinds every half minute


async def until_whole(east):
    await until_there(east, DEPLOYMENT, SERVICE, ACCOUNT)


async def until_service(east, holds):
    async def so():
        found = await east.find("services", "default", "web-istio")
        return found is not None and holds(found)

    await eventually(so)


async def test_what_a_gateway_needs_is_made_mended_and_goes_with_it(east, client):
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until_whole(east)
        await east.delete("services", "default", "web-istio")
        await until_whole(east)
        await client.delete(GATEWAYS, "default", "web")
        await until_gone(east, DEPLOYMENT, SERVICE, ACCOUNT)
        (gone,) = wanted.value
        wanted.set((gone, await written(client, "other")))
        await until_there(east, ("deployments", "apps", "other-istio"))
        assert not await there(east, *DEPLOYMENT), (
            "what went is not made anew, though Pilot knows of it still"
        )


async def test_what_no_gateway_wants_any_more_is_removed_and_nothing_else(east, client):
    other = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "mine", "namespace": "default"},
    }
    await east.create("serviceaccounts", other)
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until_whole(east)
        wanted.set(())
        await until_gone(east, DEPLOYMENT, SERVICE)
    assert await there(east, "serviceaccounts", name="mine")


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
        await until_there(east, DEPLOYMENT)
        await east.delete("deployments", "default", "web-istio", "apps")
        await until_there(east, DEPLOYMENT)
    found = await east.find("services", "default", "web-istio")
    assert found["spec"]["selector"] == {"app": "theirs"} and "labels" not in found["metadata"]


async def test_of_two_gateways_that_want_one_name_who_has_it_keeps_it(east, client):
    override = ', annotations: {gateway.istio.io/name-override: "web-istio"}'
    young, old = await written(client, "young", 2027, override), await written(client)
    wanted = Watchable((young,))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until_whole(east)
        wanted.set((old, young))
        await east.delete("deployments", "default", "web-istio", "apps")
        await until_there(east, DEPLOYMENT)
        service = await east.find("services", "default", "web-istio")
        assert service["spec"]["selector"] == {"gateway.networking.k8s.io/gateway-name": "young"}
        await client.delete(GATEWAYS, "default", "young")
        wanted.set((old,))
        selector = {"gateway.networking.k8s.io/gateway-name": "web"}
        await until_service(east, lambda found: found["spec"]["selector"] == selector)


async def test_our_label_comes_back_where_somebody_took_it_away(east, client):
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until_whole(east)
        await client.request(
            "PATCH",
            "/api/v1/namespaces/default/services/web-istio",
            body={"metadata": {"labels": {MANAGED: None}}},
            content_type="application/merge-patch+json",
        )
        await until_service(east, lambda found: found["metadata"]["labels"].get(MANAGED))


async def test_a_field_that_somebody_changed_is_put_back(east, client):
    wanted = Watchable((await written(client),))
    async with supervise(ManagedGateways(client, wanted, containers).run(Watchable(True))):
        await until_whole(east)
        service = await east.find("services", "default", "web-istio")
        await client.request(
            "PATCH",
            "/api/v1/namespaces/default/services/web-istio",
            body={"spec": {"selector": {"gateway.networking.k8s.io/gateway-name": "other"}}},
            content_type="application/merge-patch+json",
        )
        selector = service["spec"]["selector"]
        await until_service(east, lambda found: found["spec"]["selector"] == selector)


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
        await until_whole(east)
