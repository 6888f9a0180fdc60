from __future__ import annotations

import base64
import copy

from hypothesis import given
from hypothesis import strategies as st

from isthmus.lab.apiserver.builtin import BUILTIN
from isthmus.lab.apiserver.defaults import default_builtin

KINDS = sorted({each.kind for each in BUILTIN})
POD_SPEC = {
    "containers": [
        {
            "name": "a",
            "image": "a:1",
            "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}},
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "resources": {"limits": {"cpu": "1"}},
        },
        {"name": "b", "image": "registry:5000/b"},
    ],
    "volumes": [
        {"name": "empty"},
        {"name": "cm", "configMap": {"name": "x"}},
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ],
}


def test_a_pod_gets_kubernetes_defaults():
    pod = {"spec": copy.deepcopy(POD_SPEC)}
    default_builtin("Pod", pod)
    spec = pod["spec"]
    first, second = spec["containers"]
    assert (spec["restartPolicy"], spec["dnsPolicy"]) == ("Always", "ClusterFirst")
    assert spec["terminationGracePeriodSeconds"] == 30
    assert first["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert first["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert first["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert first["resources"]["requests"] == {"cpu": "1"}
    assert (first["imagePullPolicy"], second["imagePullPolicy"]) == ("IfNotPresent", "Always")
    assert spec["volumes"][0]["emptyDir"] == {}
    assert spec["volumes"][1]["configMap"]["defaultMode"] == 0o644
    assert spec["volumes"][2]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"] == 3600


def test_a_deployment_rolls_by_a_quarter():
    obj = {"spec": {"template": {"spec": copy.deepcopy(POD_SPEC)}}}
    default_builtin("Deployment", obj)
    assert obj["spec"]["replicas"] == 1
    assert obj["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert obj["spec"]["template"]["spec"]["restartPolicy"] == "Always"


def test_a_deployment_that_recreates_does_not_roll():
    obj = {"spec": {"strategy": {"type": "Recreate"}}}
    default_builtin("Deployment", obj)
    assert obj["spec"]["strategy"] == {"type": "Recreate"}


def test_a_services_port_leads_to_the_same_port():
    obj = {"spec": {"ports": [{"port": 80}, {"port": 81, "targetPort": "http"}]}}
    default_builtin("Service", obj)
    assert obj["spec"]["ports"] == [
        {"port": 80, "protocol": "TCP", "targetPort": 80},
        {"port": 81, "protocol": "TCP", "targetPort": "http"},
    ]
    assert (obj["spec"]["type"], obj["spec"]["sessionAffinity"]) == ("ClusterIP", "None")


def test_a_secrets_plain_words_become_data():
    obj = {"stringData": {"a": "b"}, "data": {"c": "ZA=="}}
    default_builtin("Secret", obj)
    assert obj == {"type": "Opaque", "data": {"a": base64.b64encode(b"b").decode(), "c": "ZA=="}}


def test_a_namespace_is_labelled_with_its_name():
    obj = {"metadata": {"name": "shop"}}
    default_builtin("Namespace", obj)
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert obj["status"] == {"phase": "Active"}


@given(
    spec=st.dictionaries(
        st.sampled_from(["template", "ports", "strategy", "containers", "volumes", "jobTemplate", "type"]),
        st.none() | st.text(max_size=2) | st.lists(st.none() | st.dictionaries(st.just("name"), st.none())),
    )
)
def test_defaults_come_once_and_stumble_over_nothing(spec):
    for kind in KINDS:
        obj = {"spec": copy.deepcopy(spec)}
        default_builtin(kind, obj)
        again = copy.deepcopy(obj)
        default_builtin(kind, again)
        assert again == obj, kind
