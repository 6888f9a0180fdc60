"""Which values of an installation set which flags of its programs: each is taken, and what changes is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from isthmus.console.chart.knobs import SHAPES, Knobs, Shape
from isthmus.console.chart.made import spec_of
from isthmus.console.install.settings import Installation
from isthmus.console.installation import documents

Flags = dict[tuple[str, str], tuple[str, ...]]
"""By program and flag what is said by it."""
_SHAPES = [each for each in SHAPES if each.name in {"primary-apart", "remote"}]
_OF_PODS = ("controlPlane.", "networkPolicies.", "pilot.resources", "citadel.resources", "injector.resources")
"""Values that are about pods, and no flags."""


@cache
def setting_values() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """By program (`pilot`) and flag the values of an installation that have a say in it, in the order of the values."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for shape in _SHAPES:
        for path, flag in _changes(shape):
            found.setdefault(flag, {})[path] = None
    return {flag: tuple(paths) for flag, paths in found.items()}


@cache
def always_said() -> Mapping[tuple[str, str], str]:
    """By program and flag what each installation says, whatever its values."""
    found: dict[tuple[str, str], str] = {}
    for shape in _SHAPES:
        made = flags_of(shape.role, Installation(cluster="any", layout="apart"))
        found |= {flag: ", ".join(said) for flag, said in made.items() if flag not in setting_values()}
    return found


def flags_of(role: str, installation: Installation) -> Flags:
    """What the programs of an installation are told when they start."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in documents(role, installation, with_definitions=False):
        if each["kind"] == "Deployment":
            for container in each["spec"]["template"]["spec"]["containers"]:
                _, program, *words = container["args"]
                for word in words:
                    flag, _, said = word.partition("=")
                    found.setdefault((program, flag), []).append(said)
    return {flag: tuple(said) for flag, said in found.items()}


def _changes(shape: Shape) -> Iterator[tuple[str, tuple[str, str]]]:
    knobs = Knobs(shape)
    said = knobs.fixed | {each.path: each.values[0] for each in knobs.found}
    usual = _flags(shape, said)
    others: list[tuple[str, Any]] = [
        (path, f"{text}-too")
        for path, text in knobs.fixed.items()
        if isinstance(text, str) and path != "layout"
    ]
    others += [(each.path, way) for each in knobs.found for way in each.values[1:]]
    for path, way in others:
        if not path.startswith(_OF_PODS) and not path.endswith((".arguments", ".environment")):
            changed = _flags(shape, said | {path: way})
            programs = {program for program, _ in changed}  # one that is not there is told nothing
            flags = [each for each in {**usual, **changed} if each[0] in programs]
            yield from ((path, flag) for flag in flags if usual.get(flag) != changed.get(flag))


def _flags(shape: Shape, said: dict[str, Any]) -> Flags:
    return flags_of(shape.role, msgspec.convert(spec_of(said), Installation))
