"""Whatever stands in a pod or in configuration, webhooks answer: a patch that fits, a refusal with a reason, leave."""

from __future__ import annotations

import asyncio
import base64
import copy
import json

import jsonpatch
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from isthmus.admission.door import Door
from isthmus.admission.injection import Injection
from isthmus.kit.plain_http import Request
from isthmus.sidecar.inject.settings import InjectSettings

POD = {
    "metadata": {
        "name": "web",
        "labels": {"app": "web", "sidecar.istio.io/inject": "true"},
        "annotations": {"proxy.istio.io/config": "{}", "status.sidecar.istio.io/port": "15020"},
        "ownerReferences": [
            {"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": "web-1", "controller": True}
        ],
    },
    "spec": {
        "containers": [
            {
                "name": "web",
                "image": "w",
                "ports": [{"containerPort": 80, "name": "http"}],
                "env": [{"name": "A", "value": "b"}],
                "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                "lifecycle": {"preStop": {"httpGet": {"path": "/stop", "port": 80}}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "resources": {"limits": {"cpu": "1"}},
                "securityContext": {"runAsUser": 1},
            }
        ],
        "initContainers": [{"name": "first", "image": "f"}],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "securityContext": {"runAsNonRoot": True},
    },
}
RULE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "a", "namespace": "b", "labels": {"a": "b"}},
    "spec": {
        "hosts": ["a"],
        "http": [
            {
                "match": [{"uri": {"prefix": "/"}}],
                "route": [{"destination": {"host": "a", "port": {"number": 1}}}],
            }
        ],
    },
}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


class East:
    """What an injector knows of its cluster."""

    now = InjectSettings(cluster="east")

    def labels(self, _):
        return {}


def places(tree, path=()):
    """The paths of all that is in a tree."""
    yield path
    found = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, each in found:
        yield from places(each, (*path, key))


def with_value(tree, path, value):
    """The tree with something else at a place."""
    changed = copy.deepcopy(tree)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


def told(path, obj):
    request = {"uid": "u", "operation": "CREATE", "namespace": "shop", "object": obj}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    asked = Request("POST", path, {"content-type": "application/json"}, json.dumps(review).encode())
    answer = asyncio.run(Door(Injection(East())).answer(asked))
    if answer.status != 200:
        assert answer.status == 400, answer.body
        return None
    return msgspec.json.decode(answer.body)["response"]


@given(st.sampled_from([each for each in places(POD) if each]), VALUES)
def test_of_any_pod(path, value):
    pod = with_value(POD, path, value)
    said = told("/inject", pod)
    if said is None:
        return
    if not said["allowed"]:
        assert said["status"]["message"]
    elif "patch" in said:
        made = jsonpatch.apply_patch(pod, json.loads(base64.b64decode(said["patch"])))
        assert "istio-proxy" in json.dumps(made["spec"])


@given(st.sampled_from([each for each in places(RULE) if each]), VALUES)
def test_of_any_configuration(path, value):
    said = told("/validate", with_value(RULE, path, value))
    assert said is None or said["allowed"] or said["status"]["message"]
