"""The webhooks of a cluster, asked by its API server: the lab's own, and upstream's."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import pytest

from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from fakes.pki import Pki
from fakes.served_webhooks import (
    NAMESPACE,
    config_map,
    containers_of,
    held_of,
    make_namespaces,
    namespace,
    pod,
    served_webhooks,
    settings_map,
)
from isthmus.api import kind_named
from isthmus.api.crd import definition
from isthmus.kube.client import MERGE_PATCH, Client
from isthmus.kube.errors import Refused
from isthmus.kube.version import server_version

SHOP = namespace("shop", **{"istio-injection": "enabled"})


def virtual_service(name, **meta):
    """One that is as its definition has it, and wrong all the same: in two places."""
    match = [{"uri": {"regex": "("}}, {"method": {"regex": "["}}]
    wrong = {"match": match, "route": [{"destination": {"host": "reviews"}}]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "shop", **meta},
        "spec": {"hosts": ["reviews"], "http": [wrong]},
    }


async def test_a_pod_in_a_labelled_namespace_gets_a_sidecar(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await make_namespaces(cluster, SHOP, namespace("quiet"))
        await webhooks.install()
        made = await cluster.create("pods", pod("web", "shop"))
        assert "istio-proxy" in containers_of(made)
        assert "web" in containers_of(made)
        plain = await cluster.create("pods", pod("web", "quiet"))
        assert containers_of(plain) == ["web"]
        asked = await cluster.create("pods", pod("asked", "quiet", {"sidecar.istio.io/inject": "true"}))
        assert "istio-proxy" in containers_of(asked)


@pytest.mark.parametrize(("said", "is_native"), [({}, True), ({"nativeSidecars": False}, False)])
async def test_sidecars_are_native_where_the_api_server_has_such_and_settings_say_nothing(
    tmp_path, api_server, said, is_native
):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await cluster.apply(settings_map(**said))
        await make_namespaces(cluster, SHOP)
        await webhooks.install()
        async with Client(cluster.access) as client:
            assert re.match(r"v1\.(3[3-9]|[4-9]\d)", await server_version(client))

        async def made() -> bool:
            name = f"web-{uuid4().hex[:8]}"
            spec = (await cluster.create("pods", pod(name, "shop")))["spec"]
            inits = {each["name"]: each.get("restartPolicy") for each in spec["initContainers"]}
            return (inits.get("istio-proxy") == "Always") is is_native

        await eventually(made)


async def test_a_pod_that_cannot_be_injected_is_refused_with_the_reason(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await make_namespaces(cluster, SHOP)
        await webhooks.install()
        wrong = pod("web", "shop", annotations={"status.sidecar.istio.io/port": "many"})
        with pytest.raises(Refused, match=r"denied the request: .*not a port: 'many'"):
            await cluster.create("pods", wrong)


async def test_while_the_injector_is_away_its_policy_says_what_becomes_of_pods(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster:
        await make_namespaces(cluster, SHOP, namespace(NAMESPACE, **{"istio-injection": "enabled"}))
        async with served_webhooks(cluster) as webhooks:
            await webhooks.install(timeout_s=2)
        with pytest.raises(Refused, match=r"failed calling webhook .namespace\.sidecar-injector\.istio\.io"):
            await cluster.create("pods", pod("web", "shop"))
        # Without these there would be nobody who could come back.
        assert containers_of(await cluster.create("pods", pod("pilot", NAMESPACE))) == ["web"]
        async with served_webhooks(cluster) as webhooks:
            await webhooks.install(timeout_s=2, failure_policy="Ignore")
        made = await eventually_made(cluster, "later")
        assert containers_of(made) == ["web"]


async def eventually_made(cluster, name):
    """A pod, once the API server has heard that it may be made: it looks at webhooks a moment later."""
    made = []

    async def is_made():
        try:
            made.append(await cluster.create("pods", pod(name, "shop")))
        except Refused:
            return False
        return True

    await eventually(is_made)
    return made[-1]


async def test_no_pod_is_refused_while_certificate_and_root_are_rotated(tmp_path, api_server):
    new = Pki("next root")
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        old = webhooks.pki
        await make_namespaces(cluster, SHOP)
        await webhooks.install()
        stop, made = asyncio.Event(), []

        async def make_pods():
            while not stop.is_set():
                made.append(await cluster.create("pods", pod(f"web-{len(made)}", "shop")))

        making = asyncio.create_task(make_pods())

        async def some_more():
            enough = len(made) + 5
            await eventually(lambda: asyncio.sleep(0, making.done() or len(made) >= enough))

        await some_more()
        webhooks.held.set(held_of(old))  # the same root
        await some_more()
        both = old.roots + new.roots
        await cluster.apply(config_map("istio-ca-root-cert", **{"root-cert.pem": both.decode()}))
        await eventually(lambda: webhooks.believed("Mutating", "istio-sidecar-injector", both))
        webhooks.held.set(held_of(new, roots=both))
        await some_more()
        await cluster.apply(config_map("istio-ca-root-cert", **{"root-cert.pem": new.roots.decode()}))
        webhooks.held.set(held_of(new))
        await eventually(lambda: webhooks.believed("Mutating", "istio-sidecar-injector", new.roots))
        await some_more()
        stop.set()
        await making  # raises where one was refused
        assert all("istio-proxy" in containers_of(each) for each in made)


async def test_a_root_that_nobody_announced_is_believed_before_it_is_shown(tmp_path, api_server):
    new = Pki("sudden root")
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await make_namespaces(cluster, SHOP)
        await webhooks.install()
        webhooks.held.set(held_of(new))
        for number in range(20):
            made = await cluster.create("pods", pod(f"web-{number}", "shop"))
            assert "istio-proxy" in containers_of(made)
        both = webhooks.pki.roots + new.roots
        await eventually(lambda: webhooks.believed("Mutating", "istio-sidecar-injector", both))


async def test_whoever_overwrites_the_roots_is_corrected(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await webhooks.install()
        found = await cluster.find(
            "mutatingwebhookconfigurations", "", "istio-sidecar-injector", "admissionregistration.k8s.io"
        )
        for each in found["webhooks"]:
            each["clientConfig"]["caBundle"] = ""
        del found["metadata"]["managedFields"], found["metadata"]["resourceVersion"]
        await cluster.apply(found | {"apiVersion": "admissionregistration.k8s.io/v1"})
        await eventually(lambda: webhooks.believed("Mutating", "istio-sidecar-injector", webhooks.pki.roots))


async def test_settings_are_followed_and_wrong_ones_keep_the_last_good(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await make_namespaces(cluster, SHOP)
        await webhooks.install()
        known = webhooks.webhooks.known
        await cluster.apply(settings_map(image="isthmus:next"))
        await eventually(lambda: asyncio.sleep(0, known.now.image == "isthmus:next"))
        await cluster.apply(settings_map(image="isthmus:wrong", concurrency="many"))
        await eventually(lambda: asyncio.sleep(0, bool(known.wrong)))
        assert list(known.wrong) == ["ConfigMap istio-system/istio-sidecar-injector"]
        made = await cluster.create("pods", pod("web", "shop"))
        spec = made["spec"]
        images = {each["image"] for each in (*spec["initContainers"], *spec["containers"])}
        assert images == {"web:1", "isthmus:next"}


async def test_wrong_configuration_is_refused_with_all_that_is_wrong(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await cluster.apply(SHOP, definition(kind_named("VirtualService")))
        await webhooks.install("Validating")
        with pytest.raises(Refused) as caught:
            await cluster.create("virtualservices", virtual_service("bad"))
        said = str(caught.value)
        assert 'admission webhook "validation.istio.io" denied the request' in said
        assert "VirtualService shop/bad: $.spec.http[0].match[0].uri.regex: '(' is no" in said
        assert "VirtualService shop/bad: $.spec.http[0].match[1].method.regex: '[' is no" in said


async def test_what_is_going_may_go_though_it_is_wrong(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster:
        await cluster.apply(SHOP, definition(kind_named("VirtualService")))
        wrong = virtual_service("bad", finalizers=["shop.example/hold"])
        await cluster.create("virtualservices", wrong)
        async with served_webhooks(cluster) as webhooks:
            await webhooks.install("Validating")
            await cluster.apply(wrong | {"metadata": wrong["metadata"] | {"labels": {"a": "b"}}})
            await cluster.delete("virtualservices", "shop", "bad", "networking.istio.io")
            path = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/bad"
            free = {"metadata": {"finalizers": None}}
            async with Client(cluster.access) as client:
                await client.request("PATCH", path, body=free, content_type=MERGE_PATCH)
            assert await cluster.find("virtualservices", "shop", "bad", "networking.istio.io") is None


async def test_configuration_is_taken_while_nobody_validates(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster:
        await cluster.apply(SHOP, definition(kind_named("VirtualService")))
        async with served_webhooks(cluster) as webhooks:
            await webhooks.install("Validating", timeout_s=2)
        made = await cluster.create("virtualservices", virtual_service("bad"))
        assert made["metadata"]["name"] == "bad"
