"""Pods of the mesh pass the strictest Pod Security Standard of Kubernetes; sidecars have what capture needs alone.

Source: "Pod Security Standards", the profiles Baseline and Restricted.
"""

from __future__ import annotations

import pytest
import yaml

from isthmus.api.decode import decode
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.console.installation import Installation, documents
from isthmus.discovery.managed_gateways import with_pod
from isthmus.model.from_gateway_api.infrastructure import infrastructure
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.template import addition, router_spec

CHOICES = Installation(cluster="east", network="cloud", renewals=True, account_secrets=("shop",))
SETTINGS = InjectSettings(cluster="east")
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
SAFE_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start"}
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop, uid: "1"}
spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}
"""


def managed():
    """The pod of a Gateway of the Gateway API, as Pilot makes it."""
    kind = next(each for each in KINDS if each.name == "Gateway")
    _, deployment, _ = infrastructure(decode(kind, yaml.safe_load(GATEWAY)))
    template = deployment["spec"]["template"]
    pod = Pod(template["metadata"], template["spec"], "shop", "web-istio", "Deployment")
    return with_pod(deployment, router_spec(pod, SETTINGS))["spec"]["template"]["spec"]


def pods_of(role):
    return [
        each["spec"]["template"]["spec"] for each in documents(role, CHOICES) if each["kind"] == "Deployment"
    ]


PODS = {
    f"{role} {pod['serviceAccountName']}": pod
    for role in ("primary", "remote", "gateway", "egress-gateway", "eastwest")
    for pod in pods_of(role)
} | {"managed gateway": managed()}


@pytest.mark.parametrize("name", PODS)
def test_a_pod_of_the_mesh_is_restricted(name):
    pod = PODS[name]
    whole = pod["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] > 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {each["name"] for each in whole.get("sysctls", ())} <= SAFE_SYSCTLS
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= VOLUMES
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        own = container["securityContext"]
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True)
        assert own.get("runAsUser", whole["runAsUser"]) == whole["runAsUser"]
        assert not any("hostPort" in port for port in container.get("ports", ()))


@pytest.mark.parametrize("name", PODS)
def test_only_who_asks_the_api_server_has_a_token_for_it(name):
    asks = any(each in name for each in ("pilot", "citadel", "injector"))
    assert PODS[name].get("automountServiceAccountToken", True) is asks
    tokens = [
        source["serviceAccountToken"]
        for volume in PODS[name]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        if "serviceAccountToken" in source
    ]
    assert [each["audience"] for each in tokens] == ([] if "citadel" in name else ["istio-ca"])


@pytest.mark.parametrize(("by_user", "added"), [(False, ["NET_ADMIN"]), (True, [])])
def test_a_sidecar_has_what_capture_needs_and_no_more(by_user, added):
    pod = Pod({"name": "cart"}, {"containers": [{"name": "app", "image": "cart"}]}, "shop", "cart", "Pod")
    found = addition(pod, InjectSettings(cluster="east", by_user=by_user))
    for container in (*found.containers, *found.init_containers):
        own = container["securityContext"]
        wanted = added if container["name"] == "istio-proxy" else ["NET_ADMIN"]
        assert own["capabilities"].get("add", []) == wanted
        assert own["capabilities"]["drop"] == ["ALL"]
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True)
