"""Manifests in which one thing is meant in many places: what changes there, and what does not."""

from __future__ import annotations

import pytest

from isthmus.api.yaml import documents
from isthmus.sidecar.inject.manifest import inject_manifest, inject_object, uninject_manifest
from isthmus.sidecar.inject.settings import InjectSettings

SETTINGS = InjectSettings(cluster="gke")
LABELS_BEFORE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: &labels {app: web}}
spec:
  selector: {matchLabels: *labels}  # of its pods
  template:
    metadata: {labels: *labels}  # and theirs
    spec: {containers: [{name: web, image: web}]}
"""
PROBES = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web  # the only one
      image: web
      readinessProbe: &probe
        httpGet: {path: /, port: 80}
      livenessProbe: *probe
"""
LABELS_IN_THE_POD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata:
      labels: &labels
        app: web
    spec: {containers: [{name: web, image: web}]}
  selector:  # of its pods
    matchLabels: *labels
"""
MERGED = """\
apiVersion: apps/v1
kind: Deployment
metadata: &named {name: web}
spec:
  selector: {}  # of none
  template: &pod
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
status:
  <<: *pod
  of: *named
"""


def meant(text):
    return [each.value for each in documents(text)]


def injected(text):
    (before,) = meant(text)
    return inject_object(before, SETTINGS, "default")[0]["spec"]


@pytest.mark.parametrize("text", [LABELS_BEFORE, PROBES])
def test_an_alias_of_what_stays_comes_back_to_the_letter(text):
    out = inject_manifest(text, SETTINGS).text
    assert meant(out)[0]["spec"].keys() == injected(text).keys()
    assert uninject_manifest(out).text == text


@pytest.mark.parametrize("text", [LABELS_IN_THE_POD, MERGED])
def test_an_alias_of_what_changes_is_written_out_and_no_other_letter_is_lost(text):
    out = inject_manifest(text, SETTINGS).text
    (before,), (after,) = meant(text), meant(out)
    assert {**after, "spec": 0} == {**before, "spec": 0}
    assert after["spec"]["selector"] == before["spec"]["selector"]
    assert after["spec"]["template"]["spec"]["containers"][1]["name"] == "istio-proxy"
    assert "  # of " in out
    assert inject_manifest(out, SETTINGS).text == out
    assert meant(uninject_manifest(out).text) == meant(text)
