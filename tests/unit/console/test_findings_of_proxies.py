"""`isthmus analyze` on files: patches of EnvoyFilters that are in error, that find nothing, that select nobody."""

from __future__ import annotations

from click.testing import CliRunner

from isthmus.console.cli import main

MESH = """apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{port: 9080, name: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews}
spec:
  replicas: 1
  selector: {matchLabels: {app: reviews}}
  template:
    metadata: {labels: {app: reviews}}
    spec: {containers: [{name: reviews, image: reviews, ports: [{containerPort: 9080}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews}
"""
FILTERS = """---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata:
  name: mine
spec:
  configPatches:
    - applyTo: CLUSTER
      match: {cluster: {service: reviews.default.svc.cluster.local}}
      patch: {operation: MERGE, value: {connect_timeout: 3s}}
    - applyTo: CLUSTER
      match: {cluster: {service: review.default.svc.cluster.local}}
      patch: {operation: MERGE, value: {connect_timeout: 3s}}
    - applyTo: CLUSTER
      match: {cluster: {service: reviews.default.svc.cluster.local}}
      patch: {operation: MERGE, value: {conect_timeout: 3s}}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: nobodys}
spec:
  workloadSelector: {labels: {app: review}}
  configPatches: []
"""


def lines(tmp_path, text):
    path = tmp_path / "mesh.yaml"
    path.write_text(text)
    done = CliRunner().invoke(main, ["analyze", str(path)])
    return [each.replace(f"{path}:", "") for each in done.output.splitlines() if "EnvoyFilter" in each]


def test_what_comes_of_patches_is_told_with_their_lines(tmp_path):
    assert lines(tmp_path, MESH + FILTERS) == [
        "41: warning [IST0127] EnvoyFilter default/nobodys: $.spec.workloadSelector: selects no pod",
        (
            "35: error [ISM0006] EnvoyFilter default/mine: $.spec.configPatches[2].patch.value: is left out: "
            "Envoy's Cluster has no field 'conect_timeout' (hint: did you mean connectTimeout?)"
        ),
        (
            "30: info [ISM0006] EnvoyFilter default/mine: $.spec.configPatches[1]: has found nothing to patch "
            "(hint: isthmus proxy config shows what proxies have)"
        ),
    ]


def test_patches_that_hold_are_not_spoken_of(tmp_path):
    sound = FILTERS.partition("    - applyTo: CLUSTER\n      match: {cluster: {service: review.")[0]
    assert lines(tmp_path, MESH + sound) == []
