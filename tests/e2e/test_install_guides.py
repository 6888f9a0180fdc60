"""The guides that install a mesh, each for a shape of cloud: followed as they stand, to a call between clusters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from msgspec.structs import replace

from e2e.own_lab import own_lab
from e2e.reading import commands, desk, guide, shown, typed, written
from e2e.test_guides import missing
from isthmus.console.demo.stage import Stage
from isthmus.console.lab_process import samples_folder
from isthmus.lab.spec import TALK, LabSpec, read_spec

FOLLOWED = r"^{0} +SYNCED +config .*\n{1} +SYNCED +- "
"""What `isthmus clusters list` says of two."""


def called(*names: str) -> LabSpec:
    """The two clusters of the talk, on one flat network, under other names."""
    clusters = (replace(each, name=name) for each, name in zip(TALK.clusters, names, strict=True))
    return replace(TALK, clusters=tuple(clusters))


class Shape(NamedTuple):
    """Clusters, as the reader of a guide has them, and what must be seen, in this order."""

    spec: LabSpec
    said: list[str]
    before: tuple[str, ...] = ()
    """What the reader has done already."""


SHAPES = {
    "install-flat-network": Shape(
        TALK,
        [
            r"istio-pilot ready\n",
            r"^-     check +onprem: ",
            FOLLOWED.format("gke", "onprem"),
            r"^reviews-v3\n",
        ],
    ),
    "install-remote": Shape(
        TALK,
        [
            r"^done  ready +onprem: ",
            FOLLOWED.format("gke", "onprem"),
            r"^done  parts +onprem: ",
            r"^-     ready +onprem: its parts run\n",
            r"^reviews-v3\n",
        ],
    ),
    "install-many-primaries": Shape(
        called("east", "north"),
        [
            r"^-     root +north: it has a CA, and the mesh's root\n",
            FOLLOWED.format("east", "north"),
            FOLLOWED.format("north", "east"),
            r"^reviews-v3\n",
        ],
    ),
    "without-a-vpn": Shape(
        read_spec(samples_folder() / "lab" / "two-networks.yaml"),
        [
            r"^done  gateway +onprem: ",
            r"^198\.51\.100\.1:15443 +HEALTHY .* onprem ",
            r"via gateway 198\.51\.100\.1:15443",
            r'nothing in "premises" answers callers in "cloud"',
            r"^reviews-v3\n",
        ],
    ),
    "join-a-cluster": Shape(
        called("east", "west"),
        [
            r"^done  entry +east: ",
            FOLLOWED.format("east", "west"),
            r"^done  revoke +west: ",
            r"^done  parts +west: ",
        ],
        before=("isthmus install primary --cluster east --context east --apply",),
    ),
}


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> Shape:
    """The clusters of a guide."""
    found: Shape = SHAPES[request.param]
    return found


@pytest.fixture
def clusters(shape: Shape, tmp_path: Path) -> Iterator[Stage]:
    """They run, and nothing is in them."""

    async def build(_: Stage) -> None:
        return

    with own_lab(tmp_path / "lab", shape.spec, build) as stage:
        yield stage


@pytest.fixture
def reader(clusters: Stage, shape: Shape, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has contexts of all clusters, and whose current one is not Pilot's."""
    names = [each.name for each in shape.spec.clusters]
    files = os.pathsep.join(str(clusters.lab.kubeconfig(name)) for name in reversed(names))
    environment = desk(tmp_path, HOME=str(tmp_path), KUBECONFIG=files)
    words = ["kubectl", "config", "view", "--flatten"]
    whole = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    assert yaml.safe_load(whole)["current-context"] == names[-1]
    (tmp_path / ".kube").mkdir(exist_ok=True)
    (tmp_path / ".kube" / "config").write_text(whole)
    return {name: value for name, value in environment.items() if name != "KUBECONFIG"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "shape"), [(name, name) for name in SHAPES], ids=SHAPES, indirect=["shape"])
def test_the_guide_works_as_it_is_written(
    name: str, shape: Shape, reader: dict[str, str], tmp_path: Path
) -> None:
    for file, text in written(guide(name)).items():
        (tmp_path / file).write_text(text)
    typed_in = [each for each in commands(guide(name)) if not each.startswith("isthmus lab up")]
    done = typed("\n".join(["set -euxo pipefail", *shape.before, *typed_in]), reader, tmp_path, limit_s=600)
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert missing(shape.said, done.stdout) == [], said


@pytest.mark.parametrize("name", SHAPES)
def test_the_guide_shows_what_is_seen(name: str) -> None:
    """What of that it shows, it shows as it is: the last of it is that clusters call each other."""
    seen = shown(guide(name))
    assert missing(SHAPES[name].said[-1:], seen) == []
