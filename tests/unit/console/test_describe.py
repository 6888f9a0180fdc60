"""`isthmus describe` says what the mesh makes of a pod and of a Service, over all clusters."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from isthmus.console.cli import main

MESH = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: shop, labels: {app: reviews, istio.io/rev: canary}}
spec:
  serviceAccountName: reviewer
  containers: [{name: app}, {name: istio-proxy}]
status: {podIP: IP}
"""
CONFIG = """
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec: {hosts: ["*"], gateways: [web], http: [{route: [{destination: {host: reviews}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: split, namespace: shop}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers, namespace: shop}
spec: {selector: {matchLabels: {app: reviews}}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: others, namespace: shop}
spec: {selector: {matchLabels: {app: else}}, rules: [{}]}
"""


@pytest.fixture
def described(tmp_path):
    (tmp_path / "gke.yaml").write_text(MESH.replace("IP", "10.1.0.1") + CONFIG)
    (tmp_path / "onprem.yaml").write_text(
        MESH.replace("IP", "10.2.0.1").replace("name: istio-proxy", "name: other")
    )

    def describe(*words):
        files = [f"-f{cluster}={tmp_path / cluster}.yaml" for cluster in ("gke", "onprem")]
        return CliRunner().invoke(main, ["describe", *words, *files])

    return describe


def test_a_service_is_told_with_all_clusters_rules_and_gateways(described):
    ran = described("service", "reviews.shop")
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.splitlines() == [
        "Service: reviews.shop.svc.cluster.local",
        "   Port: http 80/HTTP",
        "   Endpoints: 1 of 1 well in gke",
        "   Endpoints: 1 of 1 well in onprem",
        "   DestinationRule: shop/reviews (subsets v1)",
        "   VirtualService: shop/split",
        "   VirtualService: shop/shop (gateways web)",
        "   Exposed by Gateway: shop/web by VirtualService shop/shop",
    ]


def test_a_pod_is_told_with_who_it_is_its_terms_and_its_policies(described):
    lines = described("pod", "reviews-1.shop", "--cluster", "gke").stdout.splitlines()
    assert lines[:4] == [
        "Pod: reviews-1.shop in gke",
        "   Identity: spiffe://cluster.local/ns/shop/sa/reviewer",
        "   Sidecar: in the pod",
        "   Revision: canary",
    ]
    assert "Service: reviews.shop.svc.cluster.local" in lines
    assert "Port 8080: mTLS STRICT, by PeerAuthentication shop/strict" in lines
    assert [line for line in lines if line.startswith("Holds: ")] == [
        "Holds: AuthorizationPolicy shop/callers (ALLOW)"
    ]


def test_a_pod_without_a_sidecar_is_told_so(described):
    said = json.loads(described("pod", "reviews", "--cluster", "onprem", "-o", "json").stdout)
    assert said["sidecar"].startswith("none: ")
    assert said["services"][0]["endpoints"] == {"gke": "1 of 1", "onprem": "1 of 1"}


def test_what_is_not_there_is_told_with_what_is(described):
    assert "no service is called cart (hint: there are " in described("svc", "cart").output
    ran = described("po", "cart")
    assert ran.exit_code == 1
    assert "no pod is called cart" in ran.output
