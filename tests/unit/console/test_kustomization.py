"""`isthmus install --output-dir` writes a base of kustomize, of which kubectl makes what is printed without it."""

from __future__ import annotations

import pytest
import yaml

from fakes.kube_programs import needs_kubectl
from fakes.kustomized import install, kustomized, objects
from isthmus.console.install.roles import ROLES

EDGE = ("gateway", "--cluster", "gke", "--in", "edge")


def written(folder, *words, expected=0):
    ran = install(*words, "--output-dir", folder)
    assert (ran.exit_code, ran.stdout) == (expected, ""), ran.output
    return ran.stderr


@pytest.mark.kubectl
@needs_kubectl
@pytest.mark.parametrize("role", ROLES)
def test_kubectl_makes_of_the_base_what_is_printed(tmp_path, role):
    words = (role, "--cluster", "gke", "--network", "net-1", "--in", "edge", "--secret", "shop")
    written(tmp_path / "base", *words)
    assert kustomized(tmp_path / "base") == objects(install(*words).stdout)


@pytest.mark.kubectl
@needs_kubectl
def test_an_overlay_changes_what_is_beside_the_settings(tmp_path):
    written(tmp_path / "base", *EDGE)
    patch = {"apiVersion": "apps/v1", "kind": "Deployment"}
    patch |= {"metadata": {"name": "istio-ingressgateway", "namespace": "edge"}}
    patch |= {"spec": {"template": {"spec": {"hostNetwork": True}}}}
    overlay = {"resources": ["../base"], "patches": [{"patch": yaml.safe_dump(patch)}]}
    (tmp_path / "over").mkdir()
    (tmp_path / "over/kustomization.yaml").write_text(yaml.safe_dump(overlay))
    (deployment,) = (each for each in kustomized(tmp_path / "over") if each["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["hostNetwork"] is True
    assert deployment["spec"]["template"]["spec"]["containers"]


def test_the_next_base_changes_what_differs_and_takes_away_what_is_no_more(tmp_path):
    assert "files written, 0 taken away" in written(tmp_path, *EDGE)
    listed = (tmp_path / "kustomization.yaml").read_text()
    assert "0 files written, 0 taken away" in written(tmp_path, *EDGE)
    (tmp_path / "edge/notes.yaml").write_text("mine: true\n")
    said = written(tmp_path, *EDGE, "--set", "ingressGateway.disruption.enabled=false")
    assert said.endswith("1 files written, 1 taken away\n")
    names = set(yaml.safe_load(listed)["resources"])
    gone = {"edge/poddisruptionbudget-istio-ingressgateway.yaml"}
    assert set(yaml.safe_load((tmp_path / "kustomization.yaml").read_text())["resources"]) == names - gone
    assert {str(each.relative_to(tmp_path)) for each in tmp_path.glob("*/*.yaml")} == (
        {each for each in names if "/" in each} - gone | {"edge/notes.yaml"}
    )


def test_what_is_somebody_elses_is_left_and_named(tmp_path):
    (tmp_path / "edge").mkdir()
    for name in ("kustomization.yml", "edge/deployment-istio-ingressgateway.yaml"):
        (tmp_path / name).write_text("mine: true\n")
    said = written(tmp_path, *EDGE, expected=2)
    assert "kustomization.yml: is somebody else's (hint:" in said
    assert "edge/deployment-istio-ingressgateway.yaml: is somebody else's (hint:" in said
    assert len(list(tmp_path.rglob("*.yaml"))) == 1


def test_each_role_has_a_folder_of_its_own(tmp_path):
    written(tmp_path, *EDGE)
    said = written(tmp_path, "networks", "--cluster", "gke", expected=2)
    assert "kustomization.yaml: is of another role (hint: a folder for each role)" in said


def test_a_base_is_not_applied_besides(tmp_path):
    ran = install(*EDGE, "--output-dir", tmp_path, "--apply")
    assert ran.exit_code == 2
    assert "--output-dir" in ran.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "edge").write_text("a file")
    assert "edge" in written(tmp_path, *EDGE, expected=1)
