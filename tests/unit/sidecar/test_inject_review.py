"""What an API server is told of pods: a patch, nothing, or a refusal."""

from __future__ import annotations

import copy

import jsonpatch
import pytest

from isthmus.sidecar.inject.owner import Owner, owner_of
from isthmus.sidecar.inject.review import Asked, review
from isthmus.sidecar.inject.settings import InjectSettings, read_settings

SETTINGS = InjectSettings(cluster="gke")


def pod(**metadata: object) -> dict:
    container = {"name": "app", "image": "i", "readinessProbe": {"httpGet": {"port": 80}}}
    return {"metadata": {"generateName": "app-", **metadata}, "spec": {"containers": [container]}}


def made(asked: Asked, settings: InjectSettings = SETTINGS) -> dict:
    before = copy.deepcopy(asked.pod)
    found = review(asked, settings)
    assert asked.pod == before
    assert not found.refusal
    return jsonpatch.apply_patch(asked.pod, [*found.patch])


def has_sidecar(found: dict) -> bool:
    return any(each["name"] == "istio-proxy" for each in found["spec"]["containers"])


def test_a_pod_is_patched_once():
    found = made(Asked(pod(), "shop"))
    assert has_sidecar(found)
    assert review(Asked(found, "shop"), SETTINGS).patch == ()


def test_what_is_wrong_with_a_pod_is_a_refusal_that_says_where():
    annotation = "traffic.sidecar.istio.io/excludeInboundPorts"
    found = review(Asked(pod(annotations={annotation: "9223372036854775808"}), "shop"), SETTINGS)
    assert annotation in found.refusal
    assert "9223372036854775808" in found.refusal
    assert "1 to 65535" in found.refusal
    assert not found.patch
    assert review(Asked({"metadata": []}, "shop"), SETTINGS).refusal


@pytest.mark.parametrize(
    ("namespace", "labels", "config", "injected"),
    [
        ({}, {}, "policy: enabled", True),
        ({}, {}, "policy: disabled", False),
        ({}, {"sidecar.istio.io/inject": "true"}, "policy: disabled", True),
        ({"istio-injection": "enabled"}, {}, "policy: disabled", True),
        ({"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, "", False),
        ({"istio-injection": "disabled"}, {}, "", False),
        ({"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, "", False),
        ({"istio-injection": "disabled", "istio.io/rev": "canary"}, {}, "", False),
        ({"istio.io/rev": "canary"}, {}, "policy: disabled", True),
        ({}, {"istio.io/rev": "canary"}, "policy: disabled", True),
        ({}, {"a": "b"}, "neverInjectSelector: [{matchLabels: {a: b}}]", False),
        ({}, {"a": "b"}, "{policy: disabled, alwaysInjectSelector: [{matchLabels: {a: b}}]}", True),
        (
            {},
            {"a": "b"},
            "{neverInjectSelector: [{matchLabels: {a: b}}], alwaysInjectSelector: [{matchLabels: {a: b}}]}",
            False,
        ),
        (
            {},
            {"a": "b", "sidecar.istio.io/inject": "true"},
            "neverInjectSelector: [{matchLabels: {a: b}}]",
            True,
        ),
    ],
)
def test_namespace_pod_and_config_map_decide(namespace: dict, labels: dict, config: str, injected: bool):
    settings = read_settings("cluster: gke", config)
    asked = Asked(pod(labels=labels), "shop", namespace)
    assert has_sidecar(made(asked, settings)) is injected
    assert injected or review(asked, settings).reason


def controlled(kind: str, api: str, name: str, **labels: str) -> dict:
    reference = {"kind": kind, "apiVersion": api, "name": name, "controller": True}
    return {"ownerReferences": [reference], "labels": labels}


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"name": "alone"}, Owner("Pod", "v1", "alone")),
        (
            controlled("ReplicaSet", "apps/v1", "reviews-v1-5d4", **{"pod-template-hash": "5d4"}),
            Owner("Deployment", "apps/v1", "reviews-v1"),
        ),
        (controlled("ReplicaSet", "apps/v1", "own"), Owner("ReplicaSet", "apps/v1", "own")),
        (
            controlled("ReplicaSet", "apps/v1", "r-5d4", **{"rollouts-pod-template-hash": "5d4"}),
            Owner("Rollout", "argoproj.io/v1alpha1", "r"),
        ),
        (
            controlled("ReplicationController", "v1", "dc-1", deploymentconfig="dc"),
            Owner("DeploymentConfig", "apps.openshift.io/v1", "dc"),
        ),
        (controlled("Job", "batch/v1", "nightly-29012345"), Owner("CronJob", "batch/v1", "nightly")),
        (controlled("Job", "batch/v1", "load-12"), Owner("Job", "batch/v1", "load-12")),
        (controlled("StatefulSet", "apps/v1", "db"), Owner("StatefulSet", "apps/v1", "db")),
    ],
)
def test_a_pod_is_of_the_workload_that_made_it(metadata: dict, owner: Owner):
    assert owner_of(metadata) == owner
