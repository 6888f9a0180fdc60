"""The samples, as people load them: nothing is wrong with any, and the README tells of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.console.drawn_mesh import Manifest, read_manifests
from isthmus.console.faults import faults_of_each, faults_together
from isthmus.console.installation import Installation, documents, dump

SAMPLES = Path(__file__).parents[3] / "samples"
BOOKINFO = SAMPLES / "bookinfo"
NETWORKING = sorted((BOOKINFO / "networking").glob("*.yaml"))
PRIVATE = {"reviews-v3", "ratings-svc", "mysqldb-v2"}
"""What runs in the private cluster; the rest runs in the public one, with the configuration."""
DEFINITIONS = ("destination-rule-all", "destination-rule-databases")
"""The subsets that rules name: one applies these first."""


def bookinfo() -> list[Manifest]:
    """Bookinfo with everything that there is of it, in both clusters, and its way in."""
    gateway = dump(documents("gateway", Installation(cluster="gke")))
    names = [
        f"{'onprem' if file.stem in PRIVATE else 'gke'}={file}"
        for file in sorted((BOOKINFO / "kube").glob("*.yaml"))
    ]
    names += [f"gke={BOOKINFO / 'networking' / name}.yaml" for name in DEFINITIONS]
    return [Manifest("gateway", gateway, "gke"), *read_manifests(names)]


def test_nothing_is_wrong_with_any_object_of_the_samples():
    manifests = read_manifests([str(SAMPLES)])
    assert len(manifests) > 30
    assert list(faults_of_each(manifests)) == []


@pytest.mark.parametrize("file", NETWORKING, ids=lambda file: file.stem)
def test_each_rule_fits_the_whole_bookinfo(file):
    assert list(faults_together([*bookinfo(), *read_manifests([f"gke={file}"])])) == []


def test_the_readme_tells_what_each_file_is_for():
    told = (BOOKINFO / "README.md").read_text()
    files = [*NETWORKING, *(BOOKINFO / "kube").glob("*.yaml")]
    assert [file.name for file in files if f"`{file.name}`" not in told] == []


def test_each_file_begins_with_what_it_is_for():
    first = {file: file.read_text().splitlines()[0] for file in SAMPLES.rglob("*.yaml")}
    assert [file for file, line in first.items() if not (line.startswith("# ") and line.endswith("."))] == []
