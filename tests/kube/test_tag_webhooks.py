"""The webhooks of tags, answered by their revision and believed by its roots."""

from __future__ import annotations

from uuid import uuid4

from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from fakes.pki import Pki
from fakes.served_webhooks import (
    config_map,
    containers_of,
    held_of,
    make_namespaces,
    namespace,
    pod,
    served_webhooks,
)
from isthmus.admission.bundles import MUTATING
from isthmus.admission.tags import Tag, tag_objects
from isthmus.kube.client import Client

SHOP = namespace("shop", **{"istio.io/rev": "prod"})


async def set_tag(cluster, name, revision="default", **changed):
    """A tag as the command sets it, but for who it calls."""
    async with Client(cluster.access) as client:
        own = await client.get(MUTATING, "", "istio-sidecar-injector")
        for webhook in own["webhooks"]:
            webhook["clientConfig"] |= changed
        (made, *_) = tag_objects(Tag(name=name, revision=revision), own, None)
        await cluster.apply(made)
        return made["metadata"]["name"]


async def test_a_namespace_that_asks_for_a_tag_has_sidecars_of_its_revision(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await make_namespaces(cluster, SHOP)
        await webhooks.install()
        await set_tag(cluster, "prod")
        await eventually(lambda: is_injected(cluster))


async def is_injected(cluster):
    """Whether a new pod is: API servers look at webhooks a moment later."""
    made = await cluster.create("pods", pod(f"web-{uuid4()}", "shop"))
    return "istio-proxy" in containers_of(made)


async def test_the_roots_of_tags_are_kept_true_whatever_the_tags_are_called(tmp_path, api_server):
    new = Pki("next root")
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await webhooks.install()
        tags = [await set_tag(cluster, name, caBundle="") for name in ("prod", "default", "a-b")]
        for name in tags:
            await eventually(lambda name=name: webhooks.believed("Mutating", name, webhooks.pki.roots))
        both = webhooks.pki.roots + new.roots
        await cluster.apply(config_map("istio-ca-root-cert", **{"root-cert.pem": both.decode()}))
        for name in (*tags, "istio-sidecar-injector"):
            await eventually(lambda name=name: webhooks.believed("Mutating", name, both))
        webhooks.held.set(held_of(new, roots=both))
        for name in tags:
            await eventually(lambda name=name: webhooks.believed("Mutating", name, both))


async def test_tags_of_other_revisions_and_control_planes_are_left_alone(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await webhooks.install()
        other = await set_tag(cluster, "next", revision="canary", caBundle="")
        elsewhere = {"name": "istiod", "namespace": "mesh-two", "path": "/inject", "port": 443}
        far = await set_tag(cluster, "far", caBundle="", url=None, service=elsewhere)
        own = await set_tag(cluster, "prod", caBundle="")
        await eventually(lambda: webhooks.believed("Mutating", own, webhooks.pki.roots))
        for name in (other, far):
            assert not await webhooks.believed("Mutating", name, webhooks.pki.roots)


async def test_a_tag_that_moves_here_is_believed_here(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, served_webhooks(cluster) as webhooks:
        await webhooks.install()
        name = await set_tag(cluster, "prod", revision="canary", caBundle="")
        assert not await webhooks.believed("Mutating", name, webhooks.pki.roots)
        await set_tag(cluster, "prod", caBundle="")
        await eventually(lambda: webhooks.believed("Mutating", name, webhooks.pki.roots))
