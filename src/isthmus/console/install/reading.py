"""Settings from everywhere: a profile, then files, then `--set`, then flags; what comes later wins.

What is wrong is said with who said it: the file, the `--set` or the flag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from isthmus.api.errors import Problem
from isthmus.api.not_yaml import NotYaml
from isthmus.api.shape import shaped
from isthmus.api.yaml import documents
from isthmus.console.install.problems import problems, touched
from isthmus.console.install.profiles import profile_names, profile_text
from isthmus.console.install.settings import API_VERSION, KIND, Installation

Spec = Mapping[str, Any]
_ENVELOPE = {"apiVersion", "kind", "metadata", "spec"}
_STEP = re.compile(r"((?:[^.\[\]\\]|\\.)+)|\[(\d+)\]|\.")


class InvalidInstallation(ValueError):
    """Settings that cannot be installed: all that is wrong, a line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Layer(NamedTuple):
    """What one source says."""

    origin: str  # as messages name it; of a flag the flag, which needs no path
    spec: Spec
    is_flag: bool = False


def profile(name: str) -> Layer:
    """What a profile says. Raises `InvalidInstallation`."""
    if name not in profile_names():
        raise InvalidInstallation(
            f"--profile: there is no {name!r} (hint: one of {', '.join(profile_names())})"
        )
    ((_, spec, _),) = documents(profile_text(name))
    return Layer(f"profile {name}", spec)


def in_file(name: str, text: str) -> Layer:
    """What a file says: an Installation, or its values alone. Raises `InvalidInstallation`."""
    try:
        found = list(documents(text))
    except NotYaml as error:
        raise InvalidInstallation(f"{name}:{error.line}: {error.message}") from error
    if len(found) > 1:
        raise InvalidInstallation(
            f"{name}:{found[1].line}: has a second document (hint: one file each, and -f for each)"
        )
    value = found[0].value if found else {}
    if not isinstance(value, Mapping):
        raise InvalidInstallation(f"{name}: is no settings file (hint: docs/reference/installation.md)")
    for key, line in found[0].twice if found else ():
        raise InvalidInstallation(f"{name}:{line}: {key} stands twice (hint: leave one out)")
    if not {"apiVersion", "kind"} & value.keys():
        return Layer(name, value)
    return Layer(name, _unwrapped(name, value))


def _unwrapped(name: str, value: Spec) -> Spec:
    said = (value.get("apiVersion"), value.get("kind"))
    wrong = []
    if said != (API_VERSION, KIND):
        wrong.append(f"{name}: is {said[0]} {said[1]} (hint: apiVersion: {API_VERSION}, kind: {KIND})")
    wrong += [
        f"{name}: $.{each}: is no field of {KIND} (hint: below spec)"
        for each in value
        if each not in _ENVELOPE
    ]
    spec = value.get("spec") or {}
    if not isinstance(spec, Mapping):
        wrong.append(f"{name}: $.spec: is no map of values (hint: docs/reference/installation.md)")
    if wrong:
        raise InvalidInstallation(*wrong)
    return dict(spec)


class Assignment(NamedTuple):
    """One `--set`: where, and what."""

    text: str
    steps: tuple[str | int, ...]
    value: object


class Said(NamedTuple):
    """What a user says of an installation, beside the flags that stand for one value."""

    layers: tuple[Layer, ...] = ()
    sets: tuple[Assignment, ...] = ()


def assignment(text: str) -> Assignment:
    """`path=value` read; the value is YAML, a dot within a key has a backslash before it. Raises
    `InvalidInstallation`."""
    path, sign, value = _split(text)
    steps = _steps(path)
    if not sign or not steps:
        raise InvalidInstallation(f"--set {text}: is not PATH=VALUE (hint: --set controlPlane.replicas=2)")
    try:
        found = [each.value for each in documents(value)]
    except NotYaml as error:
        raise InvalidInstallation(f"--set {text}: {error.message}") from error
    return Assignment(text, steps, found[0] if found else "" if value.strip() else None)


def _split(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _steps(path: str) -> tuple[str | int, ...]:
    steps: list[str | int] = []
    at = 0
    for found in _STEP.finditer(path):
        if found.start() != at:
            return ()
        at = found.end()
        if found[1]:
            steps.append(re.sub(r"\\(.)", r"\1", found[1]))
        elif found[2]:
            steps.append(int(found[2]))
    return tuple(steps) if at == len(path) and steps and isinstance(steps[0], str) else ()


def merged(base: Spec, over: Spec) -> dict[str, Any]:
    """`base` with what `over` says: maps are merged, all else is replaced, and null takes away."""
    made = dict(base)
    for key, value in over.items():
        below = made.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            made[key] = merged(below, value)
        elif value is None:
            made.pop(key, None)
        else:
            made[key] = value
    return made


def _assigned(base: Any, steps: Sequence[str | int], value: object, text: str) -> Any:
    """`base` with `value` at the end of `steps`. Raises `InvalidInstallation`."""
    if not steps:
        return value
    first, *rest = steps
    if isinstance(first, int):
        entries = list(base) if isinstance(base, list | tuple) else []
        if first > len(entries):
            raise InvalidInstallation(
                f"--set {text}: there is no entry {first} (hint: the next one is {len(entries)})"
            )
        entries[first : first + 1] = [
            _assigned(entries[first] if first < len(entries) else None, rest, value, text)
        ]
        return entries
    fields = dict(base) if isinstance(base, Mapping) else {}
    fields[first] = _assigned(fields.get(first), rest, value, text)
    return fields


def settings(
    layers: Iterable[Layer], sets: Iterable[Assignment] = (), flags: Iterable[Layer] = ()
) -> Installation:
    """What all say together. Raises `InvalidInstallation` with all that is wrong, each by who said it."""
    spec: dict[str, Any] = msgspec.to_builtins(Installation())  # what is said of a part leaves the rest of it
    said: list[tuple[Layer, set[str]]] = []
    for layer in layers:
        spec = merged(spec, layer.spec)
        said.append((layer, set(touched(layer.spec))))
    for each in sets:
        spec = _assigned(spec, each.steps, each.value, each.text)
        said.append((Layer(f"--set {each.text}", {}, is_flag=True), {_path(each.steps)}))
    for flag in flags:
        spec = merged(spec, flag.spec)
        said.append((flag, set(touched(flag.spec))))
    found = shaped(spec, Installation, KIND)
    if wrong := found.all_wrong(problems):
        raise InvalidInstallation(*(_line(problem, said) for problem in wrong))
    return found.rest or Installation()


def checked(installation: Installation) -> None:
    """Raises `InvalidInstallation` with all that is wrong with settings that code made."""
    if wrong := tuple(problems(installation)):
        raise InvalidInstallation(*(_line(problem, ()) for problem in wrong))


def _path(steps: Sequence[str | int]) -> str:
    return "$" + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in steps)


def _line(problem: Problem, said: Iterable[tuple[Layer, set[str]]]) -> str:
    path, what = problem
    plain = path.removeprefix("$.")
    by = [layer for layer, paths in said if any(_concerns(each, path) for each in paths)]
    if not by:
        return f"{plain}: {what}"
    if by[-1].is_flag:
        return f"{by[-1].origin}: {what}"
    return f"{by[-1].origin}: {plain}: {what}"


def _concerns(said: str, path: str) -> bool:
    """Whether what was said is what is wrong, or all around it."""
    return path.startswith(said) and path[len(said) : len(said) + 1] in {"", ".", "["}


def written(installation: Installation) -> dict[str, object]:
    """The settings as a file says them, whole."""
    return {"apiVersion": API_VERSION, "kind": KIND, "spec": msgspec.to_builtins(installation)}


def file_layer(path: Path, text: str) -> Layer:
    """What the file at `path` says; `-` is standard input. Raises `InvalidInstallation`."""
    return in_file("standard input" if str(path) == "-" else str(path), text)
