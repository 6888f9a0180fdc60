from __future__ import annotations

import pytest

pytestmark = pytest.mark.kubectl

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1", ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
"""


@pytest.fixture
async def deployed(kubectl):
    await kubectl("apply", "-f", "-", stdin=WEB)
    return kubectl


async def test_a_deployment_is_described(deployed):
    said = await deployed("describe", "deployment", "web")
    assert "Selector:               app=web" in said
    assert "25% max unavailable, 25% max surge" in said
    assert "Image: web:1" in " ".join(said.split())


async def test_a_service_is_described(deployed):
    said = await deployed("describe", "service", "web")
    assert "app=web" in said
    assert "http  80/TCP" in said


async def test_a_pod_is_described_with_its_account_and_token(kubectl):
    await kubectl("run", "one", "--image=one:1")
    said = await kubectl("describe", "pod", "one")
    assert "kube-api-access-" in said
    assert "node.kubernetes.io/not-ready:NoExecute" in said


async def test_events_are_described_with_their_object(kubectl, cluster):
    await kubectl("run", "one", "--image=one:1")
    uid = await kubectl("get", "pod", "one", "-o", "jsonpath={.metadata.uid}")
    event = f"""
apiVersion: v1
kind: Event
metadata: {{name: one.1, namespace: default}}
involvedObject: {{kind: Pod, name: one, namespace: default, uid: {uid}}}
reason: Pulled
message: the image is here
type: Normal
count: 1
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:00:00Z"
source: {{component: kubelet}}
reportingComponent: kubelet
reportingInstance: node
"""
    await kubectl("apply", "-f", "-", stdin=event)
    assert "the image is here" in await kubectl("describe", "pod", "one")
    assert "pod/one" in await kubectl("get", "events")


async def test_lists_show_the_columns_of_each_type(deployed):
    assert (await deployed("get", "deployment")).split("\n")[0].split() == [
        "NAME",
        "READY",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
    ]
    wide = (await deployed("get", "deployment", "-o", "wide")).splitlines()
    assert wide[0].split()[-3:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1].split()[-3:] == ["web", "web:1", "app=web"]
    assert "PORT(S)" in await deployed("get", "service")
