from __future__ import annotations

import asyncio
import json

import pytest
import yaml
from click.testing import CliRunner

from fakes.live_cluster import live_cluster
from fakes.served_webhooks import make_namespaces, namespace, pod
from isthmus.admission.bundles import MUTATING, VALIDATING
from isthmus.admission.configurations import Serving, mutating, validating
from isthmus.admission.tags import is_silenced
from isthmus.console.cli import main
from isthmus.kube.client import Client
from isthmus.kube.errors import NotFound

SYSTEM = "istio-system"
PODS = {"istiod-1": "default", "istiod-canary-1": "canary"}


class Place:
    """A cluster with two revisions, and the command at it."""

    def __init__(self, cluster, client):
        self.cluster, self.client = cluster, client

    async def told(self, *words, code=0):
        """What the command says."""
        asked = ["revision", *words, "--kubeconfig", str(self.cluster.kubeconfig)]
        ran = await asyncio.to_thread(CliRunner().invoke, main, asked)
        assert ran.exit_code == code, ran.output
        return ran.output

    async def webhooks(self, name, kind=MUTATING):
        """A configuration; None where it is not there."""
        try:
            return await self.client.get(kind, "", name)
        except NotFound:
            return None


@pytest.fixture
async def place(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, Client(cluster.access) as client:
        await make_namespaces(
            cluster, namespace(SYSTEM), namespace("shop", **{"istio.io/rev": "prod"}), namespace("quiet")
        )
        for name, revision in PODS.items():
            await run(cluster, name, revision)
        for serving in (Serving(), Serving(revision="canary", service="istiod-canary")):
            await cluster.apply(mutating(serving), validating(serving))
        yield Place(cluster, client)


async def run(cluster, name, revision):
    made = pod(name, SYSTEM, {"istio": "pilot", "istio.io/rev": revision})
    await cluster.create("pods", made)
    await cluster.set_status("pods", made, {"phase": "Running"})


async def test_a_tag_is_set_moved_listed_and_removed(place):
    await place.told("tag", "set", "prod", "--revision", "default")
    assert (await place.webhooks("istio-revision-tag-prod"))["metadata"]["labels"][
        "istio.io/rev"
    ] == "default"
    said = await place.told("tag", "set", "prod", "-r", "canary", code=1)
    assert 'tag "prod" is set, to revision "default" (hint: --overwrite moves it)' in said
    await place.told("tag", "set", "prod", "-r", "canary", "--overwrite")
    hooks = (await place.webhooks("istio-revision-tag-prod"))["webhooks"]
    assert {each["clientConfig"]["service"]["name"] for each in hooks} == {"istiod-canary"}
    assert (await place.told("tag", "list")).split() == [
        *("TAG", "REVISION", "NAMESPACES"),
        "prod",
        "canary",
        "1",
    ]
    listed = json.loads(await place.told("tag", "list", "-o", "json"))
    assert listed == [{"tag": "prod", "revision": "canary", "namespaces": ["shop"]}]
    said = await place.told("tag", "remove", "prod", code=1)
    assert "in these namespaces: shop (hint: " in said
    await place.told("tag", "remove", "prod", "--yes")
    assert await place.webhooks("istio-revision-tag-prod") is None
    assert await place.told("tag", "list") == "no tag is set\n"
    assert 'no tag "prod"' in await place.told("tag", "remove", "prod", "-y", code=1)


async def test_what_cannot_be_a_tag_says_why(place):
    assert '"canary" is a revision of its own' in await place.told(
        "tag", "set", "canary", "-r", "default", code=1
    )
    said = await place.told("tag", "set", "prod", "-r", "next", code=1)
    assert 'revision "next" has no webhook of its own in this cluster (hint: ' in said
    await place.cluster.delete("pods", SYSTEM, "istiod-canary-1")
    said = await place.told("tag", "set", "prod", "-r", "canary", code=1)
    assert "nobody runs who injects" in said
    assert await place.webhooks("istio-revision-tag-prod") is None
    await place.told("tag", "set", "prod", "-r", "canary", "--yes")
    await place.told("tag", "set", "free", "-r", "canary")  # nobody asks for it


async def test_tag_default_moves_all_that_name_no_revision_and_back(place):
    await place.cluster.apply(namespace("old", **{"istio-injection": "enabled"}))
    before = (await place.webhooks("istio-sidecar-injector"))["webhooks"]
    await place.told("tag", "set", "default", "-r", "canary")
    assert is_silenced(await place.webhooks("istio-sidecar-injector"))
    assert await place.webhooks("istiod-default-validator", VALIDATING)
    names = {row[0]: row[1] for row in map(str.split, (await place.told("list")).splitlines())}
    assert names["canary"] == "yes"
    described = {each: await place.told("describe", each) for each in ("default", "canary")}
    assert described["default"].startswith("Revision default\nTags: -\n"), (
        "not the one for which the tag stands"
    )
    assert described["default"].endswith("Nobody asks for it, and no pod has a sidecar of it.\n")
    assert described["canary"].startswith("Revision canary, the default\nTags: default\n")
    await place.told("tag", "set", "default", "-r", "default", "--overwrite")
    assert (await place.webhooks("istio-sidecar-injector"))["webhooks"] == before
    await place.told("tag", "set", "default", "-r", "canary", "--overwrite")
    await place.told("tag", "remove", "default")  # revision `default` answers again
    assert (await place.webhooks("istio-sidecar-injector"))["webhooks"] == before
    assert await place.webhooks("istiod-default-validator", VALIDATING) is None


@pytest.mark.parametrize("word", ["set", "generate"])
def test_only_tag_default_is_for_who_says_nothing(word):
    asked = ["revision", "tag", word, "prod", "-r", "canary", "--auto-inject-namespaces"]
    ran = CliRunner().invoke(main, asked)
    assert ran.exit_code == 2
    assert "nobody who says nothing asks for 'prod' (hint: it is for tag default)" in ran.output


async def test_what_is_generated_is_what_is_set(place):
    printed = list(yaml.safe_load_all(await place.told("tag", "generate", "prod", "-r", "canary")))
    assert await place.webhooks("istio-revision-tag-prod") is None
    await place.told("tag", "set", "prod", "-r", "canary")
    made = await place.webhooks("istio-revision-tag-prod")
    assert printed[0]["metadata"]["labels"] == made["metadata"]["labels"]
    for each, there in zip(printed[0]["webhooks"], made["webhooks"], strict=True):
        for key in ("name", "clientConfig", "failurePolicy", "timeoutSeconds"):
            assert each[key] == there[key]
    assert [each["kind"] for each in printed[1:]] == ["ClusterRole", "ClusterRoleBinding"]


async def test_a_revision_is_described_with_whom_it_still_serves(place):
    for name, revision in (("old", "default"), ("new", "canary")):
        status = {"sidecar.istio.io/status": json.dumps({"revision": revision})}
        await place.cluster.create("pods", pod(name, "shop", annotations=status))
    stray = {
        "sidecar.istio.io/status": json.dumps({"revision": ["whatever"]})
    }  # who names none is of this one
    await place.cluster.create("pods", pod("stray", "quiet", annotations=stray))
    await place.told("tag", "set", "prod", "-r", "canary")
    said = json.loads(await place.told("describe", "prod", "-o", "json"))
    assert said["revision"]["name"] == "canary"
    assert said["places"] == [
        {"namespace": "shop", "asks_by": "istio.io/rev=prod", "pods": 1, "others": {"default": 1}}
    ]
    assert [(each["name"], each["tag"], each["calls"]) for each in said["webhooks"]] == [
        ("istio-revision-tag-prod", "prod", "istio-system/istiod-canary"),
        ("istio-sidecar-injector-canary", "", "istio-system/istiod-canary"),
        ("istio-validator-canary-istio-system", "", "istio-system/istiod-canary"),
    ]
    left = json.loads(await place.told("describe", "default", "-o", "json"))["places"]
    assert [(each["namespace"], each["asks_by"], each["pods"]) for each in left] == [
        ("quiet", "", 1),
        ("shop", "", 1),
    ]
    text = await place.told("describe", "canary")
    assert text.startswith("Revision canary\nTags: prod\nPilots: istiod-canary-1\n")
    assert "1 of default" in text
    assert 'no revision or tag "next" (hint: there are: canary, default, prod)' in await place.told(
        "describe", "next", code=1
    )
