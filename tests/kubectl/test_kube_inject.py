"""What `kube-inject` writes is taken by kubectl, and means to it what went in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from isthmus.console.cli.inject import command

pytestmark = pytest.mark.kubectl

SAMPLES = Path(__file__).parents[2] / "samples" / "bookinfo" / "kube"
POD = """\
metadata: {labels: {app: load, commit: "1e10"}, annotations: {answer: "y"}}
spec:
  containers:
    - name: load
      image: load:1
      ports: [{containerPort: 9080}]
      readinessProbe: {httpGet: {path: /health, port: 9080}}
      env: [{name: ANSWER, value: "n"}, {name: SIZE, value: "0x1F"}, {name: WHEN, value: "12:30"}]
"""
JOB_POD = POD + "  restartPolicy: Never\n"


def workload(api: str, kind: str, spec: str, pod: str, depth: int = 1) -> str:
    indented = "".join(f"{'    ' * depth}  {line}\n" for line in pod.splitlines())
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {kind.lower()}}}\nspec:\n{spec}{indented}"


SELECT = "  selector: {matchLabels: {app: load}}\n"
NESTED = '  schedule: "* * * * *"\n  jobTemplate:\n    spec:\n      template:\n'
WORKLOADS = [
    workload("apps/v1", "Deployment", SELECT + "  template:\n", POD),
    workload("apps/v1", "StatefulSet", SELECT + "  serviceName: load\n  template:\n", POD),
    workload("apps/v1", "DaemonSet", SELECT + "  template:\n", POD),
    workload("apps/v1", "ReplicaSet", SELECT + "  template:\n", POD),
    workload("batch/v1", "Job", "  template:\n", JOB_POD),
    workload("batch/v1", "CronJob", NESTED, JOB_POD, 2),
    "apiVersion: v1\nkind: Pod\n" + POD.replace("metadata: {", "metadata: {name: pod, "),
]


async def kube_inject(text: str, *arguments: str) -> str:
    done = await asyncio.to_thread(
        CliRunner().invoke, command, ["-f", "-", "--cluster", "gke", *arguments], input=text
    )
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_every_kind_of_workload_is_taken_by_kubectl(kubectl):
    text = "---\n".join(WORKLOADS)
    out = await kube_inject(text)
    said = await kubectl("apply", "--dry-run=server", "-f", "-", stdin=out)
    assert said.count("created (server dry run)") == len(WORKLOADS)
    assert await kube_inject(out) == out
    await kubectl("apply", "-f", "-", stdin=out)
    pod = json.loads(await kubectl("get", "pod", "pod", "-o", "json"))
    names = [each["name"] for each in pod["spec"]["containers"]]
    assert names == ["load", "istio-proxy"]
    env = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
    assert env == {"ANSWER": "n", "SIZE": "0x1F", "WHEN": "12:30"}
    assert pod["metadata"]["labels"]["commit"] == "1e10"
    assert pod["metadata"]["annotations"]["answer"] == "y"


async def test_a_list_that_kubectl_wrote_is_injected_and_taken_back(kubectl):
    await kubectl("apply", "-f", "-", stdin=WORKLOADS[0])
    listed = await kubectl("get", "deployments", "-o", "yaml")
    out = await kube_inject(listed)
    assert "kind: List" in out
    await kubectl("apply", "-f", "-", stdin=out)
    names = "-o=jsonpath={.spec.template.spec.containers[*].name}"
    assert await kubectl("get", "deployment", "deployment", names) == "load istio-proxy"


async def test_the_samples_are_taken(kubectl):
    text = "---\n".join(each.read_text() for each in sorted(SAMPLES.glob("*.yaml")))
    out = await kube_inject(text)
    said = await kubectl("apply", "--dry-run=server", "-f", "-", stdin=out)
    lines = said.splitlines()
    assert all(each.endswith("(server dry run)") for each in lines)
    assert len(lines) == sum(line.startswith("kind: ") for line in text.splitlines())
