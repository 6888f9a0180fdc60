from __future__ import annotations

import base64

import pytest

from fakes.pki import Pki
from isthmus.console.install.reading import InvalidInstallation
from isthmus.console.install.settings import Installation, Webhooks
from isthmus.console.installation import documents

MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"

NAMED = {"istio-sidecar-injector", "istio-validator-istio-system", "istio-revision-tag-default"}


def installed(role, **more):
    """The objects of a role, by kind and name."""
    made = documents(role, Installation(cluster="east", **more))
    return {(each["kind"], each["metadata"]["name"]): each for each in made}


def arguments(objects, name):
    """Of all containers of a Deployment."""
    spec = objects["Deployment", name]["spec"]["template"]["spec"]
    return [each for container in spec["containers"] for each in container["args"]]


def test_a_primary_asks_its_pilot_and_a_remote_cluster_its_injector():
    primary, remote = installed("primary"), installed("remote")
    (near,) = {
        each["clientConfig"]["service"]["name"]
        for each in primary[MUTATING, "istio-sidecar-injector"]["webhooks"]
    }
    (far,) = {
        each["clientConfig"]["service"]["name"]
        for each in remote[MUTATING, "istio-sidecar-injector"]["webhooks"]
    }
    assert (near, far) == ("istiod", "istio-sidecar-injector")
    assert ("Service", near) in primary
    assert ("Service", far) in remote
    assert (VALIDATING, "istio-validator-istio-system") in primary
    assert not [name for kind, name in remote if kind == VALIDATING]


@pytest.mark.parametrize(("role", "url"), [("primary", ""), ("remote", ""), ("remote", "https://a.example")])
def test_who_serves_may_write_its_own_webhooks_and_no_others(role, url):
    for (kind, _), each in installed(role, injection_url=url).items():
        for rule in each.get("rules") or () if kind == "ClusterRole" else ():
            if "admissionregistration.k8s.io" in rule["apiGroups"]:
                assert set(rule["verbs"]) <= {"get", "list", "watch", "patch"}
                # All may be read: which tags stand for a revision is in their labels.
                assert "patch" not in rule["verbs"] or set(rule["resourceNames"]) <= NAMED


def test_what_is_wished_of_webhooks_is_in_their_configurations():
    wished = Webhooks(
        failure_policy="Ignore", validation_failure_policy="Fail", inject_by_default=True, timeout_seconds=3
    )
    made = installed("primary", webhooks=wished)
    hooks = made[MUTATING, "istio-sidecar-injector"]["webhooks"]
    assert {(each["failurePolicy"], each["timeoutSeconds"]) for each in hooks} == {("Ignore", 3)}
    assert "auto.sidecar-injector.istio.io" in [each["name"] for each in hooks]
    checks = made[VALIDATING, "istio-validator-istio-system"]["webhooks"]
    assert {each["failurePolicy"] for each in checks} == {"Fail"}


def test_without_webhooks_nobody_serves_any():
    made = installed("primary", webhooks=Webhooks(enabled=False))
    assert not [name for kind, name in made if kind in {MUTATING, VALIDATING}]
    assert "--webhook-port=0" in arguments(made, "istiod")


def test_a_revision_has_webhooks_of_its_own_and_a_certificate_for_their_name():
    made = installed("primary", revision="canary")
    hooks = made[MUTATING, "istio-sidecar-injector-canary"]["webhooks"]
    assert {each["clientConfig"]["service"]["name"] for each in hooks} == {"istiod-canary"}
    said = arguments(made, "istiod-canary")
    assert "--revision=canary" in said
    named = "istio-pilot-service-account.istio-system:istiod-canary.istio-system.svc"
    assert f"--custom-dns-names={named}" in said


@pytest.mark.parametrize(
    ("role", "asks", "account", "service"),
    [
        ("primary", "istio-pilot-canary", "istio-pilot-service-account", "istiod-canary"),
        (
            "remote",
            "istio-sidecar-injector-canary",
            "istio-sidecar-injector-service-account",
            "istio-sidecar-injector-canary",
        ),
    ],
)
def test_who_serves_a_revision_asks_the_citadel_that_knows_its_name(role, asks, account, service):
    made = installed(role, revision="canary", layout="apart")
    called = "istio-citadel-canary.istio-system.svc.cluster.local"
    assert f"--citadel={called}:8060" in arguments(made, asks)
    said = arguments(made, "istio-citadel-canary")
    assert f"--custom-dns-names={account}.istio-system:{service}.istio-system.svc" in said
    assert f"--grpc-hostname={called}" in said
    chosen = made["Service", "istio-citadel-canary"]["spec"]["selector"]
    pods = made["Deployment", "istio-citadel-canary"]["spec"]["template"]["metadata"]["labels"]
    assert chosen.items() <= pods.items()
    others = installed(role, layout="apart")["Deployment", "istio-citadel"]["spec"]["template"]["metadata"]
    assert not chosen.items() <= others["labels"].items()


URL = "https://injector.example:15017"


def test_a_remote_cluster_may_ask_an_injector_elsewhere_and_has_none_then():
    own, made = installed("remote"), installed("remote", network="hall", injection_url=f"{URL}/")
    assert {kind for kind, name in made if name == "istio-sidecar-injector"} == {MUTATING, "ConfigMap"}
    assert {"Deployment", "Service", "NetworkPolicy"} <= {kind for kind, name in own.keys() - made.keys()}
    hooks = made[MUTATING, "istio-sidecar-injector"]["webhooks"]
    assert [each["clientConfig"] for each in hooks] == [
        {"url": f"{URL}/inject/cluster/east/net/hall"} for _ in hooks
    ]
    before = own[MUTATING, "istio-sidecar-injector"]["webhooks"]
    assert [each | {"clientConfig": None} for each in hooks] == [
        each | {"clientConfig": None} for each in before
    ]
    flat = installed("remote", injection_url=URL)[MUTATING, "istio-sidecar-injector"]["webhooks"]
    assert {each["clientConfig"]["url"] for each in flat} == {f"{URL}/inject/cluster/east"}


def test_whoever_is_asked_elsewhere_may_write_these_webhooks_unless_their_roots_are_given():
    roots = Pki().roots.decode()
    name = "istio-reader-webhooks-istio-system"
    made = installed("remote", injection_url=URL)
    (subject,) = made["ClusterRoleBinding", name]["subjects"]
    assert subject["name"] == "istio-reader-service-account"
    assert made["ClusterRole", name]["rules"][1]["resourceNames"] == ["istio-sidecar-injector"]
    made = installed("remote", injection_url=URL, injection_roots=roots)
    assert ("ClusterRole", name) not in made
    told = {each["clientConfig"]["caBundle"] for each in made[MUTATING, "istio-sidecar-injector"]["webhooks"]}
    assert told == {base64.b64encode(roots.encode()).decode()}


def test_a_revision_that_asks_elsewhere_needs_no_name_of_its_own():
    made = installed("remote", revision="canary", injection_url=URL)
    assert ("ClusterRole", "istio-reader-webhooks-canary-istio-system") in made
    assert made[MUTATING, "istio-sidecar-injector-canary"]
    assert ("Service", "istio-citadel-canary") not in made
    assert not [each for each in arguments(made, "istio-citadel-canary") if "custom-dns-names" in each]


def test_a_primary_asks_its_own_pilot_and_nobody_elsewhere():
    with pytest.raises(InvalidInstallation, match=r"--injection-url: is of remote clusters.*\(hint: "):
        installed("primary", injection_url=URL)
