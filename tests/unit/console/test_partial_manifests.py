"""Manifests of one application, as people keep them: what they refer to elsewhere is not told as wrong."""

from __future__ import annotations

import pytest

from isthmus.console.faults import faults_together
from isthmus.console.written import Manifest

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: cart, labels: {LABELS}}
spec: {containers: [{name: app, image: app}]}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{port: 80, name: http}]}
"""
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart}
spec: {host: cart, subsets: [{name: v1, labels: {version: v1}}]}
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart}
spec: {hosts: [cart], gateways: [edge], http: [{route: [{destination: {host: cart, subset: v1}}]}]}
"""
TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: logs}
spec: {accessLogging: [{providers: [{name: loki}]}]}
"""


def told(*documents, held=None):
    found = faults_together([Manifest("app.yaml", "---\n".join(documents))], held)
    return [(each.code, each.object) for each in found if each.severity != "info"]


@pytest.mark.parametrize(
    "documents",
    [
        (GATEWAY,),
        (GATEWAY, POD.replace("LABELS", "app: cart")),
        (
            GATEWAY.replace("Gateway", "Sidecar").partition("spec:")[0]
            + "spec: {workloadSelector: {labels: {a: b}}}",
        ),
        (SERVICE, SUBSETS),
        (TELEMETRY,),
    ],
)
def test_what_may_be_in_other_files_is_not_missed(documents):
    assert told(*documents) == []


def test_in_clusters_all_is_missed_that_is_not_there():
    assert told(GATEWAY, held={"cluster": []}) == [("IST0127", "Gateway default/edge")]
    assert told(TELEMETRY, held={"cluster": []}) == [("IST0157", "Telemetry default/logs")]
    assert told(SERVICE, SUBSETS, held={"cluster": []}) == [("IST0173", "DestinationRule default/cart")]


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("Gateway", "protocol: HTTP", "protocol: HTPP"),
        ("Service", "port: 80, name", "port: eighty, name"),
        ("DestinationRule", "subsets:", "sets:"),
    ],
)
def test_of_what_is_refused_nobody_is_told_that_it_is_not_there(kind, right, wrong):
    text = "---".join(
        (
            GATEWAY,
            POD.replace("LABELS", "istio: ingressgateway, app: cart, version: v1"),
            SERVICE,
            SUBSETS,
            RULES,
        )
    )
    assert right in text
    codes = {code for code, _ in told(text.replace(right, wrong))}
    assert codes == {"IST0106"}, kind


def test_what_is_for_a_mesh_without_sidecars_is_told_once_for_each_namespace_and_waypoint():
    namespace = "kind: Namespace\napiVersion: v1\nmetadata: {name: cart, labels: {istio.io/dataplane-mode: ambient}}\n"
    waypoint = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: before-cart, namespace: cart, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
"""
    service = SERVICE.replace("{name: cart}", "{name: cart, labels: {istio.io/use-waypoint: before-cart}}")
    assert told(namespace, waypoint, service) == [
        ("ISM0007", "Gateway.gateway.networking.k8s.io cart/before-cart"),
        ("ISM0007", "Namespace cart"),
    ]
    asking = namespace.replace("ambient}", "ambient, istio-injection: enabled}")
    assert told(asking) == []


def test_kinds_of_others_pass_and_those_of_the_mesh_that_nobody_reads_are_told():
    others = (
        "kind: Rollout\napiVersion: argoproj.io/v1alpha1\nmetadata: {name: cart}\nspec: {}\n",
        "kind: Kustomization\nresources: [cart.yaml]\n",
        "kind: DaemonSet\nreplicas: 3\n",
    )
    assert told(*others) == []
    lua = (
        "kind: TrafficExtension\napiVersion: extensions.istio.io/v1alpha1\nmetadata: {name: lua}\nspec: {}\n"
    )
    assert told(lua) == [("IST0106", "TrafficExtension default/lua")]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("apiversion: v1", "apiVersion, in place of apiversion"),
        ("", "apiVersion: networking.istio.io/v1 or apiVersion: gateway.networking.k8s.io/v1"),
    ],
)
def test_an_object_without_a_version_is_told_since_no_cluster_takes_it(line, hint):
    text = GATEWAY.replace("apiVersion: networking.istio.io/v1", line)
    (found,) = faults_together([Manifest("app.yaml", text)])
    assert (found.path, found.message) == ("$.apiVersion", f"is missing (hint: {hint})")
    assert text.splitlines()[found.line - 1] in {line, "kind: Gateway"}
