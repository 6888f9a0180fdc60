"""YAML as people write it, through `kube-inject` and out again."""

from __future__ import annotations

import pytest
import yaml

from isthmus.api.yaml import documents
from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest, uninject_manifest
from isthmus.sidecar.inject.settings import InjectSettings
from isthmus.sidecar.inject.stream import parts

SETTINGS = InjectSettings(cluster="gke")
JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: load}
spec:
  template:
    spec:
      containers:
        - name: load
          image: load:1
          env:
            - {name: ANSWER, value: "y"}
            - {name: COMMIT, value: '1e10'}
            - {name: MODE, value: "0o17"}
            - {name: FLAG, value: "true"}
            - {name: PLAIN, value: 2018-04-25}
          args: [-p, 22:22, --depth=3]
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c   # stays\ndata: {at: 22:22}\n"


def injected(text: str) -> str:
    return inject_manifest(text, SETTINGS).text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "# only a comment\n",
        f"---\n{CONFIG}---\n\n--- # nothing\n{CONFIG}",
        f"{CONFIG}---\r\n".replace("\n", "\r\n"),
        "--- {apiVersion: v1, kind: Service}\n--- \n",
        CONFIG.rstrip("\n"),
        "text: |\n  --- no separator\n  ---- nor this\nmore: '---'\n",
    ],
)
def test_what_holds_no_workload_comes_out_letter_by_letter(text: str):
    assert injected(text) == text
    assert "".join(part.text for part in parts(text)) == text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_documents_around_a_workload_stay_and_lines_end_as_before(end: str):
    text = f"{CONFIG}---\n{JOB}---\n{CONFIG}".replace("\n", end)
    out = injected(text)
    assert out.startswith(CONFIG.replace("\n", end) + "---" + end + "apiVersion: batch/v1" + end)
    assert out.endswith(f"---\n{CONFIG}".replace("\n", end))
    assert end == "\r\n" or "\r" not in out
    assert out.count("\n") == out.count(end)
    assert len(list(yaml.safe_load_all(out))) == 3


def test_quotes_that_mean_something_to_kubectl_are_kept():
    out = injected(JOB)
    assert 'value: "y"' in out
    assert "value: '1e10'" in out
    assert 'value: "0o17"' in out
    assert 'value: "true"' in out
    assert "value: 2018-04-25}" in out  # as it was written: no date and no number of base 60 to kubectl
    assert "[-p, 22:22, --depth=3]" in out


def test_what_we_add_is_quoted_where_kubectl_would_not_take_it_for_text():
    out = inject_manifest(JOB, InjectSettings(cluster="1e3", network="y")).text
    assert 'value: "1e3"' in out
    assert 'value: "y"' in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{CONFIG}---\na: b: c\n",
            r"document 2, line 7: is not YAML: mapping values are not allowed.*\(hint:",
        ),
        (f"{CONFIG}---\n\tkey: 1\n", r"document 2, line 7: is not YAML: .*\(hint:"),
        (f"{CONFIG}---\nkey: \x00\n", r"document 2, line 7: is not YAML: "),
        (
            f"{CONFIG}---\n{JOB.replace('containers', 'container')}",
            r"document 2, from line 6: Job load: no containers in its pod \(hint: is spec.template there\?\)",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {a/b: no}}\nspec: {containers: [{}]}\n",
            r"Pod: annotations: a/b is not text \(hint: put quotes around false\)",
        ),
        (
            "kind: A\n...\nkind: B\n",
            r"document 1, line 3: is not YAML: did not find expected <document start>",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: oops\n", r"metadata is not a mapping \(hint: look at"),
        ("apiVersion: v1\nkind: Pod\nspec: {containers: [a]}\n", "no containers"),
        (
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}], initContainers: [null]}\n",
            "Pod: initContainers of its spec is not a list of mappings",
        ),
        (
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}], volumes: false}\n",
            "Pod: volumes of its spec is not a list of mappings",
        ),
        (
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, ports: 80}]}\n",
            "ports of its container is not a list of mappings",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {namespace: 1}\nspec: {containers: [{name: a}]}\n",
            r"namespace is not text \(hint: put quotes around 1\)",
        ),
        (
            "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a}], volumes: [{name: istio-token}]}\n",
            r"volumes\[0\] has the name istio-token of the sidecar's \(hint: another name\)",
        ),
        ("apiVersion: apps/v1\nkind: Deployment\nspec: {template: [1]}\n", "template is not a mapping"),
    ],
)
def test_what_cannot_be_injected_is_named_with_document_and_line(text: str, said: str):
    with pytest.raises(InvalidManifest, match=said):
        injected(text)


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nspec: {tasks: []}\n",
        "kind: List\napiVersion: v1\nitems: [text, 1, null, {kind: Service}]\n",
        "kind: List\napiVersion: v1\nitems:\n",
        "- kind: Pod\n",
        "just text\n",
    ],
)
def test_what_only_looks_like_a_workload_is_left_alone(text: str):
    assert injected(text) == text


def test_a_pod_may_write_parts_of_its_proxy_itself():
    own = "- name: istio-proxy\n          image: auto\n          resources: {limits: {cpu: 3}}\n        - name: load\n"
    text = JOB.replace("- name: load\n", own)
    out = injected(text)
    spec = yaml.safe_load(out)["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["istio-proxy", "load"]
    proxy = spec["containers"][0]
    assert proxy["image"] == SETTINGS.image
    assert proxy["resources"]["limits"] == {"cpu": 3, "memory": "1Gi"}
    assert injected(out) == out
    assert uninject_manifest(out).text == text


@pytest.mark.parametrize(
    "spec",
    [
        f"{{containers: [{{name: a, livenessProbe: {{httpGet: {{port: '{'9' * 6000}'}}}}}}]}}",
        "{containers: [{name: a}], volumes: [{name: v, a: !!binary aGk=}]}",
        "{containers: &c [{name: app}], initContainers: *c}",
        "{<<: {containers: [{name: app}]}}",
    ],
)
def test_what_is_written_oddly_is_injected_all_the_same(spec: str):
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {spec}\n"
    out = injected(text)
    assert "istio-proxy" in out
    assert injected(out) == out
    assert next(documents(uninject_manifest(out).text)).value == next(documents(text)).value


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (
            "a: &a [1]\n" + "".join(f"b{i}: &{chr(98 + i)} [{f'*{chr(97 + i)},' * 9}]\n" for i in range(9)),
            "fewer aliases",
        ),
        (f"x: {'[' * 5000}{']' * 5000}\n", "nested"),
    ],
)
def test_texts_that_would_unfold_without_end_are_refused(rest: str, said: str):
    with pytest.raises(InvalidManifest, match=said):
        injected(f"apiVersion: v1\nkind: Pod\nspec: {{containers: [{{name: a}}]}}\n{rest}")
