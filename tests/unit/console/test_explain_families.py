"""Calls of pods with addresses of one family or of both, explained from files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from isthmus.console.cli import main

MESH = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.110.0.10
  clusterIPs: [10.110.0.10, "fd00:110::10"]
  ipFamilies: [IPv4, IPv6]
  selector: {app: web}
  ports: [{port: 80, name: http}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.10.0.1], targetRef: {kind: Pod, name: web-1}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ["fd00:10::1"], targetRef: {kind: Pod, name: web-1}}]
"""
POD = """
---
apiVersion: v1
kind: Pod
metadata: {name: NAME, labels: {app: APP, security.istio.io/tlsMode: istio}}
spec: {containers: [{name: app, image: app}, {name: istio-proxy, image: proxy}]}
status: {phase: Running, podIP: "FIRST", podIPs: [PODS]}
"""


def pod(name: str, *addresses: str) -> str:
    ips = ", ".join(f'{{ip: "{each}"}}' for each in addresses)
    text = POD.replace("NAME", name).replace("APP", name.partition("-")[0])
    return text.replace("FIRST", addresses[0]).replace("PODS", ips)


@pytest.mark.parametrize(
    ("caller", "called", "endpoint"),
    [
        (("10.10.0.9",), "10.110.0.10", "10.10.0.1:8080"),
        (("fd00:10::9",), "fd00:110::10", "[fd00:10::1]:8080"),
        (("10.10.0.9", "fd00:10::9"), "10.110.0.10", "10.10.0.1:8080"),
    ],
)
def test_a_call_goes_by_the_families_of_its_caller_and_its_pod_is_known_by_each(
    tmp_path: Path, caller: tuple[str, ...], called: str, endpoint: str
) -> None:
    file = tmp_path / "mesh.yaml"
    file.write_text(MESH + pod("web-1", "10.10.0.1", "fd00:10::1") + pod("caller-1", *caller))
    words = ["explain", "caller-1", "http://web/", "-f", f"east={file}", "-o", "json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["trace"]["call"]["address"] == called
    (arrival,) = found["arrivals"]
    assert (arrival["endpoint"], arrival["workload"]) == (endpoint, "default/web-1")
    assert arrival.get("problem", "") == ""
    assert arrival["trace"]["listener"]["listener"] == "virtualInbound"
