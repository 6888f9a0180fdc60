from __future__ import annotations

import asyncio
import base64
import time
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from fakes.objects import FakeObjects
from isthmus.lab.apiserver.account_admission import MOUNT_PATH, admit_pod
from isthmus.lab.apiserver.admission import Admission
from isthmus.lab.apiserver.api import Target, Write
from isthmus.lab.apiserver.attempt import Attempt
from isthmus.lab.apiserver.builtin import builtin, builtin_types
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.doors import NoEndpoint
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.rbac import Rbac
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.users import ADMIN
from isthmus.lab.apiserver.validation import Validation
from isthmus.lab.apiserver.webhook_caller import WebhookCaller, answer_of, review_of
from isthmus.lab.apiserver.webhooks import Answer, WebhookFailed, Webhooks

PODS = builtin("pods")
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "shop"}}
SHOP = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"inject": "yes"}}}
TARGET = Target(PODS, "shop", "web")


def pod(**meta):
    containers = [{"name": "web", "image": "web:1"}]
    meta = {"name": "web", "namespace": "shop", **meta}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": containers}}


def configuration(kind, *webhooks, name="injector"):
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": list(webhooks),
    }


def rule(operation, group, resource, **more):
    said = {"operations": [operation], "apiGroups": [group], "apiVersions": ["*"], "resources": [resource]}
    return said | more


def webhook(name="pods.injector.example", **more):
    rules = [rule("CREATE", "", "pods")]
    return {"name": name, "rules": rules, "clientConfig": {"url": "https://unused"}, **more}


class FakeCaller:
    """Answers with what it was given by the webhook's name, and remembers who was asked about what."""

    def __init__(self, **answers):
        self._answers = answers
        self.asked = []

    async def ask(self, hook, attempt):
        self.asked.append((hook["name"], attempt))
        answer = self._answers.get(hook["name"].partition(".")[0], Answer(True, {}, []))
        if isinstance(answer, Exception):
            raise answer
        return answer


def admission(caller, *objects):
    stored = FakeObjects(ACCOUNT, SHOP, *objects)
    return Admission(stored, Validation(Schemas()), Webhooks(stored, caller, builtin_types()), Rbac(stored))


async def create(caller, *objects, obj=None, target=TARGET):
    return await admission(caller, *objects).admit("CREATE", target, obj or pod(), None, Write(ADMIN))


def test_a_pod_gets_its_account_and_token():
    spec = admit_pod(pod(), FakeObjects(ACCOUNT))["spec"]
    (volume,) = spec["volumes"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
    ]
    token, roots, namespace = volume["projected"]["sources"]
    assert token["serviceAccountToken"] == {"expirationSeconds": 3607, "path": "token"}
    assert roots["configMap"]["name"] == "kube-root-ca.crt"
    assert namespace["downwardAPI"]["items"][0]["path"] == "namespace"


@pytest.mark.parametrize("where", ["pod", "account"])
def test_no_token_is_mounted_where_none_is_wanted(where):
    wanted, account = pod(), dict(ACCOUNT)
    (wanted["spec"] if where == "pod" else account)["automountServiceAccountToken"] = False
    assert "volumes" not in admit_pod(wanted, FakeObjects(account))["spec"]


def test_a_mount_of_ones_own_stays():
    wanted = pod()
    wanted["spec"]["containers"][0]["volumeMounts"] = [{"name": "own", "mountPath": MOUNT_PATH}]
    assert admit_pod(wanted, FakeObjects(ACCOUNT))["spec"].get("volumes") is None


def test_a_pod_of_an_unknown_account_is_refused():
    with pytest.raises(ApiError, match='serviceaccount "default" not found') as caught:
        admit_pod(pod(), FakeObjects())
    assert caught.value.code == 403


async def test_a_mutating_webhooks_patch_is_applied_and_gets_defaults():
    sidecar = {"op": "add", "path": "/spec/containers/-", "value": {"name": "proxy", "image": "proxy:1"}}
    caller = FakeCaller(pods=Answer(True, {}, [sidecar]))
    made = await create(caller, configuration("Mutating", webhook()))
    assert made["spec"]["containers"][1]["name"] == "proxy"
    assert made["spec"]["containers"][1]["imagePullPolicy"] == "IfNotPresent"


async def test_webhooks_see_what_those_before_them_made():
    label = Answer(True, {}, [{"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}])
    caller = FakeCaller(first=label)
    await create(
        caller,
        configuration("Mutating", webhook("first.x.example"), webhook("second.x.example")),
        configuration("Validating", webhook("third.x.example")),
    )
    assert [name for name, _ in caller.asked] == ["first.x.example", "second.x.example", "third.x.example"]
    assert [attempt.new["metadata"].get("labels") for _, attempt in caller.asked] == [
        None,
        {"seen": "yes"},
        {"seen": "yes"},
    ]


async def test_a_refusal_is_told_in_the_webhooks_words():
    caller = FakeCaller(pods=Answer(False, {"message": "no hats", "code": 400, "reason": "BadRequest"}, []))
    with pytest.raises(ApiError) as caught:
        await create(caller, configuration("Validating", webhook()))
    assert caught.value.message == 'admission webhook "pods.injector.example" denied the request: no hats'
    assert caught.value.code == 400


async def test_a_webhook_that_fails_is_fatal_or_ignored_as_it_says():
    caller = FakeCaller(pods=WebhookFailed("gone"))
    with pytest.raises(ApiError, match=r'failed calling webhook "pods\.injector\.example": gone'):
        await create(caller, configuration("Mutating", webhook()))
    made = await create(caller, configuration("Mutating", webhook(failurePolicy="Ignore")))
    assert made["metadata"]["name"] == "web"


async def test_a_patch_that_does_not_fit_is_told_so():
    caller = FakeCaller(pods=Answer(True, {}, [{"op": "remove", "path": "/spec/none"}]))
    with pytest.raises(ApiError, match="a patch that does not fit"):
        await create(caller, configuration("Mutating", webhook()))


async def test_a_patch_that_breaks_the_object_is_told_so():
    caller = FakeCaller(
        pods=Answer(True, {}, [{"op": "replace", "path": "/spec/containers", "value": "none"}])
    )
    with pytest.raises(ApiError, match="must be of type array"):
        await create(caller, configuration("Mutating", webhook()))


@pytest.mark.parametrize(
    ("more", "concerned"),
    [
        ({}, True),
        ({"namespaceSelector": {"matchLabels": {"inject": "yes"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"inject": "no"}}}, False),
        ({"namespaceSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}}, True),
        ({"objectSelector": {"matchLabels": {"app": "web"}}}, True),
        ({"objectSelector": {"matchLabels": {"app": "other"}}}, False),
        ({"rules": [rule("*", "*", "*/*")]}, True),
        ({"rules": [rule("CREATE", "", "services"), rule("CREATE", "", "*")]}, True),
        ({"rules": [rule("UPDATE", "", "pods")]}, False),
        ({"rules": [rule("CREATE", "apps", "*")]}, False),
        ({"rules": [rule("CREATE", "", "pods/status")]}, False),
        ({"rules": [rule("CREATE", "", "pods", scope="Cluster")]}, False),
    ],
)
async def test_a_webhook_is_asked_only_about_what_concerns_it(more, concerned):
    caller = FakeCaller()
    await create(caller, configuration("Mutating", webhook(**more)), obj=pod(labels={"app": "web"}))
    assert bool(caller.asked) is concerned


async def test_a_webhook_cannot_lock_webhooks():
    every = [rule("*", "*", "*")]
    caller = FakeCaller(pods=WebhookFailed("gone"))
    target = Target(builtin("mutatingwebhookconfigurations", "admissionregistration.k8s.io"), "", "injector")
    obj = configuration("Mutating", webhook())
    assert (
        await create(caller, configuration("Mutating", webhook(rules=every)), obj=obj, target=target) == obj
    )


async def test_a_deletion_is_told_with_what_goes():
    rules = [rule("DELETE", "", "pods")]
    caller = FakeCaller()
    admit = admission(caller, configuration("Validating", webhook(rules=rules))).admit
    assert await admit("DELETE", TARGET, None, pod(), Write(ADMIN)) is None
    ((_, attempt),) = caller.asked
    assert (attempt.new, attempt.old) == (None, pod())


@asynccontextmanager
async def serving(answer):
    """A webhook on loopback that answers with `answer(review)`; its port and the CA that signed it."""
    credentials = ClusterCredentials("hook", ["127.0.0.1"], time.time())

    async def handle(request):
        return web.json_response(answer(await request.json(), request))

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    context = credentials.server_context()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1], base64.b64encode(credentials.ca).decode()
    finally:
        await runner.cleanup()


def allowing(review, request):
    patch = base64.b64encode(
        msgspec.json.encode([{"op": "add", "path": "/x", "value": request.path_qs}])
    ).decode()
    response = {"uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def attempt():
    return Attempt("CREATE", PODS, ADMIN, pod(), place=("shop", "web"))


async def no_service(*_):
    raise NoEndpoint("no endpoints available")


async def test_a_webhook_is_asked_at_its_url():
    async with serving(allowing) as (port, ca):
        client = {"url": f"https://localhost:{port}/inject", "caBundle": ca}
        answer = await WebhookCaller(no_service).ask(webhook(clientConfig=client), attempt())
    assert answer.allowed
    assert answer.patch == [{"op": "add", "path": "/x", "value": "/inject?timeout=10s"}]


async def test_a_webhook_is_asked_at_its_service_under_the_services_name():
    async with serving(allowing) as (port, ca):

        async def connect(namespace, name, wanted):
            assert (namespace, name, wanted) == ("default", "kubernetes", "443")
            return await asyncio.open_connection("127.0.0.1", port)

        client = {"service": {"namespace": "default", "name": "kubernetes", "path": "/in"}, "caBundle": ca}
        answer = await WebhookCaller(connect).ask(webhook(clientConfig=client), attempt())
    assert answer.patch[0]["value"] == "/in?timeout=10s"


async def test_a_webhook_of_another_ca_is_not_believed():
    other = base64.b64encode(ClusterCredentials("other", [], 1_700_000_000.0).ca).decode()
    async with serving(allowing) as (port, _):
        client = {"url": f"https://localhost:{port}/", "caBundle": other}
        with pytest.raises(WebhookFailed, match="failed to call webhook"):
            await WebhookCaller(no_service).ask(webhook(clientConfig=client), attempt())


async def test_a_webhook_without_endpoints_has_failed():
    client = {"service": {"namespace": "shop", "name": "none"}}
    with pytest.raises(WebhookFailed, match="no endpoints available"):
        await WebhookCaller(no_service).ask(webhook(clientConfig=client), attempt())


@pytest.mark.parametrize(
    "body",
    [
        b"nothing",
        b"{}",
        b'{"response": {"uid": "other", "allowed": true}}',
        b'{"response": {"uid": "u", "allowed": true, "patch": "W3t9XQ==", "patchType": "Merge"}}',
        b'{"response": {"uid": "u", "allowed": true, "patch": "%", "patchType": "JSONPatch"}}',
    ],
)
def test_an_answer_that_is_none_has_failed(body):
    with pytest.raises(WebhookFailed):
        answer_of(body, "u")


def test_a_review_tells_what_is_about_to_be_done():
    request = review_of(attempt())["request"]
    assert request["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert (request["namespace"], request["name"], request["operation"]) == ("shop", "web", "CREATE")
    assert request["userInfo"]["username"] == ADMIN.name
    assert request["dryRun"] is False
