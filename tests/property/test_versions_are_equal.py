"""Two Pilots that read the same tell it in the same versions: who comes from one to the other is sent nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from isthmus.model.build import MeshBuilder
from isthmus.translate.generation import Generation, Translator
from isthmus.translate.offline import Case, read_case
from isthmus.translate.types import TYPES

GOLDENS = Path(__file__).parents[1] / "golden"
SOME = sorted(GOLDENS.rglob("*.yaml"))[::15]
"""Each by itself differs in what it has; all of them would take long."""
_PRINT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from property.test_versions_are_equal import SOME, versions
from isthmus.translate.offline import read_case
for path in SOME:
    case = read_case(path.read_text())
    print(path.name, versions(case, case.generation()))
"""


def versions(case: Case, generation: Generation) -> list[tuple[str, str, str]]:
    """All that the case's proxy is sent, in an order of its own."""
    return sorted(
        (type_url, each.name, each.version)
        for type_url in TYPES
        for each in generation.resources(case.proxy, type_url, None)
    )


@pytest.mark.parametrize("path", SOME, ids=lambda path: path.stem)
def test_the_order_in_which_a_pilot_hears_of_things_is_in_no_version(path: Path) -> None:
    case = read_case(path.read_text())
    changes = list(case.changes)
    Random(len(changes)).shuffle(changes)
    builder, translator = MeshBuilder(case.settings), Translator()
    generation = case.generation()
    expected = versions(case, generation)
    for change in changes:
        step = builder.apply([change])
        generation = translator.generation(step.mesh, step.delta)
    assert versions(case, generation) == expected


def test_no_version_depends_on_the_process() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", _PRINT, str(GOLDENS.parent)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "77")
    ]
    assert said[0] == said[1]
    assert said[0].count(b"\n") == len(SOME)
