"""How API servers ask webhooks, and what they make of answers: the lab's own and upstream's alike."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from fakes.live_cluster import live_cluster
from fakes.pki import Pki
from fakes.served_webhooks import make_namespaces, namespace, pod
from isthmus.admission.https import HttpsServer
from isthmus.api import kind_named
from isthmus.api.crd import definition
from isthmus.kit.plain_http import Response
from isthmus.kit.tls import client_context, server_context
from isthmus.kube.errors import Refused

RULE = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}


class Hook:
    """A webhook that remembers what it was asked, and answers by its path what it was told to."""

    def __init__(self, pki, **answers):
        self.asked, self._answers = [], answers
        self.server = HttpsServer("127.0.0.1", 0, self._answer)
        shown = pki.leaf(dns=("localhost",))
        self.server.show(server_context(certificate=shown.certificate, key=shown.key))
        self._ca, self.url = base64.b64encode(pki.roots).decode(), ""

    async def _answer(self, request):
        name = request.path.partition("?")[0].strip("/")
        asked = msgspec.json.decode(request.body)["request"]
        self.asked.append((name, asked))
        said = self._answers.get(name, {})
        if isinstance(said, Response):
            return said
        response = {"uid": asked["uid"], "allowed": True} | said
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return Response(body=msgspec.json.encode(review), content_type="application/json")

    def configuration(self, kind, name, *hooks):
        """Of webhooks that are asked at a path of their name."""
        usual = {
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [RULE],
            "timeoutSeconds": 3,
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [
                usual
                | {
                    "name": f"{each['name']}.hooks.example",
                    "clientConfig": {"url": f"{self.url}/{each['name']}", "caBundle": self._ca},
                }
                | {key: value for key, value in each.items() if key != "name"}
                for each in hooks
            ],
        }


def patching(*operations):
    coded = base64.b64encode(msgspec.json.encode(list(operations))).decode()
    return {"patchType": "JSONPatch", "patch": coded}


def labelling(name):
    return patching({"op": "add", "path": f"/metadata/labels/{name}", "value": "seen"})


@asynccontextmanager
async def asked(folder, *configurations, **answers):
    """A cluster that asks, and whom it asks. Configurations are kind, name and hooks."""
    async with live_cluster(folder) as cluster:
        await make_namespaces(cluster, namespace("shop"))
        hook = Hook(Pki(), **answers)
        running = asyncio.create_task(hook.server.run())
        try:
            hook.url = f"https://localhost:{await hook.server.port()}"
            for kind, name, *hooks in configurations:
                await cluster.apply(hook.configuration(kind, name, *hooks))
            await asyncio.sleep(1.5)  # API servers hear of webhooks from themselves, a moment later
            yield cluster, hook
        finally:
            running.cancel()
            await asyncio.wait([running])


async def posted(cluster, obj, **query):
    """Status, warnings and body of a POST of a pod."""
    pair = cluster.access.credentials
    tls = client_context(
        roots=cluster.access.ca,
        certificate=getattr(pair, "certificate", None),
        key=getattr(pair, "key", None) and pair.key.encode(),
    )
    headers = {"Authorization": f"Bearer {token}"} if (token := getattr(pair, "token", None)) else {}
    url = f"{cluster.url}/api/v1/namespaces/shop/pods"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, params=query, json=obj, ssl=tls, headers=headers) as answer,
    ):
        return answer.status, answer.headers.getall("Warning", []), await answer.json()


async def test_mutating_webhooks_are_asked_in_the_order_of_names_and_see_what_came_before(
    tmp_path, api_server
):
    hooks = (
        ("Mutating", "b", {"name": "second"}),
        ("Mutating", "a", {"name": "first"}),
        ("Validating", "c", {"name": "last"}),
    )
    async with asked(tmp_path, *hooks, first=labelling("first"), second=labelling("second")) as (
        cluster,
        hook,
    ):
        made = await cluster.create("pods", pod("web", "shop", {"app": "web"}))
    assert made["metadata"]["labels"] == {"app": "web", "first": "seen", "second": "seen"}
    seen = [(name, sorted(each["object"]["metadata"]["labels"])) for name, each in hook.asked]
    assert seen == [("first", ["app"]), ("second", ["app", "first"]), ("last", ["app", "first", "second"])]


async def test_a_question_says_all_that_webhooks_go_by(tmp_path, api_server):
    async with asked(tmp_path, ("Validating", "a", {"name": "first"})) as (cluster, hook):
        generated = pod("web", "shop")
        generated["metadata"] = {"generateName": "web-", "namespace": "shop"}
        await posted(cluster, generated, dryRun="All", fieldManager="me")
    ((_, question),) = hook.asked
    assert question["kind"] == question["requestKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert question["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert (question["operation"], question["namespace"], question["dryRun"]) == ("CREATE", "shop", True)
    assert question["oldObject"] is None
    assert question["object"]["kind"] == "Pod"
    assert question["options"] == {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "CreateOptions",
        "dryRun": ["All"],
        "fieldManager": "me",
    }
    assert question["userInfo"]["username"]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        ({"message": "no hats", "code": 422, "reason": "Invalid"}, 422, "denied the request: no hats"),
        ({"message": "no hats", "code": 200}, 400, "denied the request: no hats"),
        ({"reason": "Forbidden"}, 400, "denied the request: Forbidden"),
        ({}, 400, "denied the request without explanation"),
        (None, 400, "denied the request without explanation"),
    ],
)
async def test_a_refusal_is_told_as_the_webhook_says_it(tmp_path, api_server, status, code, said):
    answer = {"allowed": False} | ({} if status is None else {"status": status})
    async with asked(tmp_path, ("Validating", "a", {"name": "first"}), first=answer) as (cluster, _):
        found, _, body = await posted(cluster, pod("web", "shop"))
    assert (found, body["message"]) == (code, f'admission webhook "first.hooks.example" {said}')


async def test_warnings_come_to_whoever_asked(tmp_path, api_server):
    warnings = {"warnings": ["old hat", "x" * 300]}
    async with asked(tmp_path, ("Validating", "a", {"name": "first"}), first=warnings) as (cluster, _):
        status, told, _ = await posted(cluster, pod("web", "shop"))
    assert status == 201
    assert told[0] == '299 - "old hat"'


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Response(503, b"not now"),
            "failed to call webhook: the server is currently unable to handle the request",
        ),
        (Response(body=b"none", content_type="application/json"), "failed to call webhook: "),
        ({"uid": "other"}, "received invalid webhook response: expected response.uid="),
        (labelling("first") | {"patchType": "Merge"}, "unsupported patch type"),
    ],
)
async def test_a_webhook_that_fails_is_fatal_or_ignored_as_its_policy_says(
    tmp_path, api_server, answer, said
):
    fail = {"name": "first", "objectSelector": {"matchLabels": {"app": "fail"}}}
    ignore = fail | {"failurePolicy": "Ignore", "objectSelector": {"matchLabels": {"app": "ignore"}}}
    hooks = ("Mutating", "a", fail), ("Mutating", "b", ignore)
    async with asked(tmp_path, *hooks, first=answer) as (cluster, _):
        with pytest.raises(Refused) as caught:
            await cluster.create("pods", pod("one", "shop", {"app": "fail"}))
        assert caught.value.code == 500
        expected = f'Internal error occurred: failed calling webhook "first.hooks.example": {said}'
        assert str(caught.value).startswith(expected)
        assert await cluster.create("pods", pod("two", "shop", {"app": "ignore"}))


async def test_a_webhook_that_asks_for_it_is_asked_again_where_others_changed_something_after_it(
    tmp_path, api_server
):
    again = {"name": "first", "reinvocationPolicy": "IfNeeded"}
    hooks = ("Mutating", "a", again), ("Mutating", "b", {"name": "second"})
    async with asked(tmp_path, *hooks, second=labelling("second")) as (cluster, hook):
        await cluster.create("pods", pod("web", "shop", {"app": "web"}))
    assert [name for name, _ in hook.asked] == ["first", "second", "first"]


def when(expression, **more):
    return {"matchConditions": [{"name": "when", "expression": expression}], **more}


async def test_webhooks_are_asked_where_their_conditions_hold(tmp_path, api_server):
    said = {
        "labelled": when("object.metadata.labels['app'] == 'web' && oldObject == null"),
        "other": when("object.metadata.labels['app'] == 'other'"),
        "created": when("request.operation == 'CREATE' && request.userInfo.username != 'nobody'"),
        "unknown": when("object.metadata.labels['none'] == 'a'", failurePolicy="Ignore"),
        "both": {
            "matchConditions": [
                {"name": "fails", "expression": "object.metadata.labels['none'] == 'a'"},
                {"name": "does-not-hold", "expression": "false"},
            ]
        },
    }
    hooks = [{"name": name, **each} for name, each in said.items()]
    async with asked(tmp_path, ("Mutating", "a", *hooks)) as (cluster, hook):
        await cluster.create("pods", pod("web", "shop", {"app": "web"}))
    assert [name for name, _ in hook.asked] == ["labelled", "created"]


async def test_nobody_passes_a_webhook_whose_condition_says_nothing(tmp_path, api_server):
    first = {"name": "first", **when("object.metadata.labels['none'] == 'a'")}
    async with asked(tmp_path, ("Validating", "a", first)) as (cluster, hook):
        with pytest.raises(Refused, match=r"is forbidden: .*resulted in error: ") as caught:
            await cluster.create("pods", pod("web", "shop", {"app": "web"}))
    assert (caught.value.code, hook.asked) == (403, [])


async def test_conditions_that_cannot_be_asked_are_refused(tmp_path, api_server):
    async with asked(tmp_path) as (cluster, hook):
        wrong = hook.configuration("Mutating", "a", {"name": "first", **when("object.")})
        with pytest.raises(
            Refused, match=r"webhooks\[0\]\.matchConditions\[0\]\.expression: Invalid value"
        ) as caught:
            await cluster.apply(wrong)
    assert caught.value.code == 422


async def test_a_webhook_is_asked_in_the_version_that_it_names_unless_it_is_exact(tmp_path, api_server):
    rules = [
        {
            "operations": ["CREATE"],
            "apiGroups": ["networking.istio.io"],
            "apiVersions": ["v1beta1"],
            "resources": ["sidecars"],
        }
    ]
    hooks = {"name": "any", "rules": rules}, {"name": "exact", "rules": rules, "matchPolicy": "Exact"}
    made = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {},
    }
    async with asked(tmp_path, ("Mutating", "a", *hooks), any=labelling("any")) as (cluster, hook):
        await cluster.apply(definition(kind_named("Sidecar")))
        made = await cluster.create("sidecars", made)
    ((name, question),) = hook.asked
    group = {"group": "networking.istio.io", "kind": "Sidecar"}
    assert (name, question["kind"]) == ("any", {**group, "version": "v1beta1"})
    assert question["requestKind"] == {**group, "version": "v1"}
    assert question["object"]["apiVersion"] == "networking.istio.io/v1beta1"
    assert (made["apiVersion"], made["metadata"]["labels"]["any"]) == ("networking.istio.io/v1", "seen")
