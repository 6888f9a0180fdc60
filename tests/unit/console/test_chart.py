"""The Helm chart installs what `isthmus install` does, whatever its values say."""

from __future__ import annotations

import json
import random
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from isthmus.api.yaml import documents
from isthmus.console.chart.families import Choice, Fields, Items, Literal, laid_over
from isthmus.console.chart.made import PARTS, WORDS, files, objects, spec_of, values
from isthmus.console.install.reading import InvalidInstallation, Layer, settings

ROOT = Path(__file__).parents[3]
SAID = {
    "network": "net-1",
    "revision": "1-4-0",
    "image": "registry.example:5000/isthmus:1",
    "trustDomain": "mesh.example",
    "pilotTrustDomain": "other.example",
    "domain": "k8s.local",
    "accessLog": "/dev/stdout",
    "controlPlane.priorityClass": "system-cluster-critical",
    "controlPlane.replicas": 3,
    "controlPlane.autoscaling.minReplicas": 2,
    "controlPlane.autoscaling.maxReplicas": 7,
    "controlPlane.autoscaling.cpu": 55,
    "webhooks.timeoutSeconds": 7,
    "controlPlane.nodeSelector": {"pool": "mesh", "example.com/zone": "true"},
    "controlPlane.affinity": {"podAntiAffinity": {}},
    "controlPlane.tolerations": [{"key": "a", "operator": "Exists"}, {"key": "b", "value": "c"}],
    "layout": "apart",
}


def test_what_is_alike_stays_and_what_differs_is_decided():
    def make(taken):
        first, second = taken
        return {"a": 1, "b": first, **({"c": second} if first else {})}

    node = laid_over(make, [2, 3], beside=[0])
    assert isinstance(node, Fields)
    always, decided, sometimes = node.entries
    assert (always.there, always.node) == (None, Literal(1))
    assert decided.node == Choice((0,), {(0,): 0, (1,): 1})
    assert sometimes.there == Choice((0,), {(0,): False, (1,): True})
    assert sometimes.node == Choice((1,), {(0,): 0, (1,): 1, (2,): 2})


def test_items_are_known_by_their_names_and_keep_their_order():
    def make(taken):
        return [{"name": "a"}, *([{"name": "b"}] if taken[0] else []), *([{"name": "c"}] if taken[1] else [])]

    node = laid_over(make, [2, 2], beside=[0])
    assert isinstance(node, Items)
    assert [each.key for each in node.entries] == ["a", "b", "c"]


def test_what_too_many_decide_together_is_said():
    with pytest.raises(ValueError, match="too many"):
        laid_over(lambda taken: [sum(taken)], [2] * 7)


def test_each_value_is_told():
    lines = values().splitlines()
    untold = [
        line
        for before, line in pairwise(lines)
        if line and not line.lstrip().startswith("#") and not before.lstrip().startswith("#")
    ]
    assert untold == []


@pytest.fixture(scope="session")
def helm():
    cached = sorted((Path.home() / ".cache/isthmus").glob("helm-*/helm"))
    if not cached:
        pytest.skip("needs Helm (hint: tools/helm/build)")
    return str(cached[-1])


@pytest.fixture(scope="session")
def chart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chart") / "isthmus"
    for name, text in files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_helm_has_nothing_to_say_against_the_chart(helm, chart):
    done = run(helm, "lint", "--strict", str(chart), "--set", "cluster=gke")
    assert done.returncode == 0, done.stdout
    for wrong in ({}, {"cluster": "a", "clutser": "b"}, {"cluster": "a", "pilot": {"plainXds": "yes"}}):
        (chart.parent / "wrong.json").write_text(json.dumps(wrong))
        assert run(helm, "template", "isthmus", str(chart), "-f", str(chart.parent / "wrong.json")).returncode


def by_name(found):
    return {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each for each in found
    }


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(60))
def test_the_chart_installs_what_isthmus_install_does(helm, chart, tmp_path, number):
    drawn = random.Random(number)
    said = {"cluster": "gke"}
    asked = {name: drawn.choice(([], {}, {"cpu": "250m"})[1:]) for name in PARTS if "resources" in name}
    asked |= {name: drawn.choice(words) for name, words in WORDS.items()} | SAID
    often = drawn.choice((0.1, 0.4, 0.7))
    said |= {name: value for name, value in asked.items() if drawn.random() < often}
    role, namespace = drawn.choice(("primary", "remote")), drawn.choice(("istio-system", "mesh"))
    try:
        installation = settings([Layer("values", spec_of(said | {"namespace": namespace}))])
    except InvalidInstallation:
        pytest.skip("no installation has these settings")
    (tmp_path / "values.json").write_text(json.dumps(spec_of(said) | {"role": role}))
    done = run(helm, "template", "isthmus", str(chart), "-n", namespace, "-f", str(tmp_path / "values.json"))
    assert done.returncode == 0, done.stderr
    rendered = [each.value for each in documents(done.stdout) if each.value]
    assert by_name(rendered) == by_name(objects(role, installation))
