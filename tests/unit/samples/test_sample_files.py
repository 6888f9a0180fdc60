"""The samples, as people load them: nothing is wrong with any, and the README tells of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.console.faults import faults_of_each, faults_together
from isthmus.console.installation import Installation, documents, dump
from isthmus.console.written import Manifest, read_manifests

SAMPLES = Path(__file__).parents[3] / "samples"
NETWORKING = sorted(SAMPLES.glob("*/networking/*.yaml"))
KUBE = sorted(SAMPLES.glob("*/kube/*.yaml"))
PRIVATE = {"reviews-v3", "ratings-svc", "mysqldb-v2", "greeter-v2"}
"""What runs in the private cluster; the rest runs in the public one, with the configuration."""
DEFINITIONS = (
    "bookinfo/networking/destination-rule-all",
    "bookinfo/networking/bookinfo-gateway",
    "bookinfo/networking/destination-rule-databases",
    "greeter/networking/destination-rule-greeter",
)
"""The way in, and the subsets that rules name: one applies these first."""


def whole() -> list[Manifest]:
    """Everything that samples run, in both clusters, and the way in."""
    gateway = dump(documents("gateway", Installation(cluster="gke")))
    names = [f"{'onprem' if file.stem in PRIVATE else 'gke'}={file}" for file in KUBE]
    names += [f"gke={SAMPLES / name}.yaml" for name in DEFINITIONS]
    return [Manifest("gateway", gateway, "gke"), *read_manifests(names)]


def test_nothing_is_wrong_with_any_object_of_the_samples():
    manifests = read_manifests([str(SAMPLES)])
    assert len(manifests) > 30
    assert list(faults_of_each(manifests)) == []


@pytest.mark.parametrize("file", NETWORKING, ids=lambda file: file.stem)
def test_each_rule_fits_what_the_samples_run(file):
    found = faults_together([*whole(), *read_manifests([f"gke={file}"])])
    assert [each for each in found if each.severity != "info"] == []


@pytest.mark.parametrize("name", ["bookinfo", "greeter"])
def test_the_readme_tells_what_each_file_is_for(name):
    folder = SAMPLES / name
    told = (folder / "README.md").read_text()
    assert [str(file) for file in folder.glob("*/*.yaml") if f"{file.name}`" not in told] == []


def test_each_file_begins_with_what_it_is_for():
    first = {file: file.read_text().splitlines()[0] for file in SAMPLES.rglob("*.yaml")}
    assert [file for file, line in first.items() if not (line.startswith("# ") and line.endswith("."))] == []
