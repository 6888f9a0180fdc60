"""The webhooks of tags, answered by their revision and believed by its roots."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from uuid import uuid4

import yaml

from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from fakes.pki import Pki
from fakes.served_webhooks import (
    VALUES,
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
from isthmus.console import tags
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


STATUS = "sidecar.istio.io/status"


def revision_of(made):
    """Of which revision a pod's sidecar is."""
    return json.loads(made["metadata"]["annotations"][STATUS])["revision"]


@asynccontextmanager
async def two_revisions(cluster):
    """Webhooks of `default` and of `canary`, with the commands that move tags between them."""
    values = yaml.safe_dump(VALUES | {"revision": "canary"})
    async with served_webhooks(cluster) as stable:
        await stable.install()
        await cluster.apply(config_map("istio-sidecar-injector-canary", values=values))
        async with served_webhooks(cluster, revision="canary") as canary:
            await canary.install(revision="canary")
            yield stable, canary


async def move(cluster, name, revision):
    """Set a tag as the command does."""
    tag = Tag(name=name, revision=revision)
    async with Client(cluster.access) as client:
        await tags.set_tag(client, tag, await tags.objects_of(client, tag))


async def test_no_pod_is_refused_and_each_is_of_one_revision_while_a_tag_moves_to_and_fro(
    tmp_path, api_server
):
    async with live_cluster(tmp_path) as cluster, two_revisions(cluster):
        await make_namespaces(cluster, SHOP)
        await move(cluster, "prod", "default")
        await eventually(lambda: is_injected(cluster))
        stop, made = asyncio.Event(), []

        async def make_pods():
            while not stop.is_set():
                made.append(revision_of(await cluster.create("pods", pod(f"p-{len(made)}", "shop"))))

        making = asyncio.create_task(make_pods())

        async def all_are_of(revision):
            if making.done():
                await making
            return len(made) > 3 and set(made[-3:]) == {revision}

        for revision in ("canary", "default", "canary"):
            await move(cluster, "prod", revision)
            await eventually(lambda revision=revision: all_are_of(revision))
        stop.set()
        await making


async def test_who_names_no_revision_is_moved_by_tag_default_and_by_nothing_else(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, two_revisions(cluster):
        await make_namespaces(cluster, namespace("shop", **{"istio-injection": "enabled"}))
        count = itertools.count()

        async def is_of(revision):
            made = await cluster.create("pods", pod(f"p-{next(count)}", "shop"))
            return STATUS in made["metadata"].get("annotations", {}) and revision_of(made) == revision

        await eventually(lambda: is_of("default"))
        await move(cluster, "prod", "canary")
        assert await is_of("default")
        for revision in ("canary", "default", "canary"):
            await move(cluster, "default", revision)
            await eventually(lambda revision=revision: is_of(revision))
        async with Client(cluster.access) as client:
            await tags.remove_tag(client, "default", "istio-system")
        await eventually(lambda: is_of("default"))
