"""A policy that is only in a cluster from which no configuration is read keeps nobody out: that is no mere remark."""

from __future__ import annotations

import pytest

from isthmus.console.faults import faults_together
from isthmus.console.written import Manifest

MESH = """
kind: Cluster
metadata: {{name: gke}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: default}}
---
kind: Cluster
metadata: {{name: onprem}}
---
apiVersion: {api}
kind: {kind}
metadata: {{name: shut, namespace: default}}
spec: {spec}
"""


@pytest.mark.parametrize(
    ("api", "kind", "spec", "severity"),
    [
        ("security.istio.io/v1", "AuthorizationPolicy", "{}", "warning"),
        ("security.istio.io/v1", "PeerAuthentication", "{mtls: {mode: STRICT}}", "warning"),
        ("networking.istio.io/v1", "DestinationRule", "{host: reviews.default.svc.cluster.local}", "info"),
    ],
)
def test_what_should_keep_callers_out_and_is_not_read_is_warned_of(api, kind, spec, severity):
    text = MESH.format(api=api, kind=kind, spec=spec)
    found = {each.code: each for each in faults_together([Manifest("mesh.yaml", text)])}
    assert found["ISM0004"].severity == severity
    assert ("keeps nobody out" in found["ISM0004"].message) == (severity == "warning")
