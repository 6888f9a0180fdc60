from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from click.testing import CliRunner

from fakes.two_clusters import two_clusters
from isthmus.console.cli import main
from isthmus.console.revisions import asked_by, revisions
from isthmus.kube.client import Client
from isthmus.kube.errors import Conflict

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


PILOTS = {"istiod-1": "default", "istiod-2": "default", "istiod-canary-1": "canary"}
NAMESPACES = {
    "old": {"istio-injection": "enabled"},
    "new": {"istio.io/rev": "canary"},
    "tagged": {"istio.io/rev": "prod"},
    "lost": {"istio.io/rev": "gone"},
    "out": {"istio-injection": "disabled", "istio.io/rev": "canary"},
}


@pytest.fixture
async def east(tmp_path, api_server):
    async with two_clusters(tmp_path) as (first, _):
        for name, labels in NAMESPACES.items():
            await first.create("namespaces", made("Namespace", name, labels))
        account = made("ServiceAccount", "default", {}, namespace="istio-system")
        if await first.find("serviceaccounts", "istio-system", "default") is None:
            with suppress(Conflict):  # its controller was faster
                await first.create("serviceaccounts", account)
        for name, revision in PILOTS.items():
            labels = {"istio": "pilot", "istio.io/rev": revision}
            pod = made("Pod", name, labels, namespace="istio-system")
            pod["spec"] = {"containers": [{"name": "discovery", "image": f"isthmus:{revision}"}]}
            await first.create("pods", pod)
            await first.set_status("pods", pod, {"phase": "Running"})
        yield first


def made(kind, name, labels, **meta):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": labels, **meta}}


async def tag(client, name, revision):
    meta = {"name": f"istio-revision-tag-{name}", "labels": {"istio.io/tag": name, "istio.io/rev": revision}}
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": meta,
        "webhooks": [],
    }
    await client.request("POST", WEBHOOKS, body=body)


async def test_each_revision_is_known_by_who_serves_it_and_who_asks_for_it(east):
    async with Client(east.access) as client:
        await tag(client, "prod", "canary")
        found = {each.name: each for each in await revisions(client, "istio-system")}
        assert list(found) == ["canary", "default", "gone"]
        assert found["default"].pilots == ("istiod-1", "istiod-2")
        assert found["default"].images == ("isthmus:default",)
        assert found["default"].namespaces == ("old",)
        assert [each.name for each in found.values() if each.is_default] == ["default"]
        assert found["canary"].tags == ("prod",)
        assert found["canary"].namespaces == ("new", "tagged")
        assert (found["gone"].pilots, found["gone"].namespaces) == ((), ("lost",))
        await tag(client, "default", "canary")
        found = {each.name: each for each in await revisions(client, "istio-system")}
        assert [each.name for each in found.values() if each.is_default] == ["canary"]
        assert found["canary"].namespaces == ("new", "old", "tagged"), "who asks for the default"


async def test_the_command_shows_them(east):
    asked = ["revision", "list", "--kubeconfig", str(east.served.kubeconfig)]
    shown = await asyncio.to_thread(CliRunner().invoke, main, asked)
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines()[0].split() == [
        "REVISION",
        "DEFAULT",
        "TAGS",
        "PILOTS",
        "IMAGE",
        "NAMESPACES",
    ]
    assert shown.output.splitlines()[2].split() == ["default", "yes", "-", "2", "isthmus:default", "1"]
    # Without its tag `prod` is a revision that nobody serves.
    said = await asyncio.to_thread(CliRunner().invoke, main, [*asked, "-o", "json"])
    assert [each["name"] for each in json.loads(said.output)] == ["canary", "default", "gone", "prod"]


@pytest.mark.parametrize(
    ("labels", "revision"),
    [
        ({}, ""),
        ({"istio.io/rev": "canary"}, "canary"),
        ({"istio-injection": "enabled", "istio.io/rev": "canary"}, "default"),
        ({"istio-injection": "disabled", "istio.io/rev": "canary"}, ""),
    ],
)
def test_a_namespace_asks_for_a_revision_by_its_labels(labels, revision):
    assert asked_by(labels) == revision
