"""What an installation would change in a cluster, as a diff of each object."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from isthmus.console.install.applying import Plan
from isthmus.console.install.cluster import Key
from isthmus.console.install.content import content

Json = dict[str, Any]


def differences(todo: Plan, ahead: Mapping[Any, Json]) -> Iterator[str]:
    """A unified diff of each object that would change, come or go; the first line of each says which."""
    for each in todo.planned:
        name = str(each.key)
        before = [] if each.live is None else _lines(each.live)
        after = _lines(ahead[each.key])
        diff = difflib.unified_diff(
            before, after, f"{name} (there)" if before else "(nothing)", f"{name} (wanted)", lineterm=""
        )
        if text := "\n".join(diff):
            yield text
    for key in todo.surplus:
        yield f"--- {key} (there)\n+++ (nothing)\n@@ it is of an earlier installation, and no part of this one @@"


def differing(todo: Plan, ahead: Mapping[Key, Json]) -> Iterator[Key]:
    """The objects that would change, come or go."""
    for each in todo.planned:
        if each.live is None or _lines(each.live) != _lines(ahead[each.key]):
            yield each.key
    yield from todo.surplus


def _lines(found: Json) -> list[str]:
    shown = content(found)
    if found["kind"] == "Secret":
        for part in ("data", "stringData"):
            if part in shown:
                shown[part] = {name: _hidden(str(value)) for name, value in (shown[part] or {}).items()}
    ordered = {name: shown[name] for name in sorted(shown, key=_rank)}
    return str(yaml.dump(ordered, Dumper=yaml.CSafeDumper, sort_keys=False, width=1000)).splitlines()


def _hidden(value: str) -> str:
    """Whether it changes can be seen, what it is cannot."""
    return f"<{hashlib.sha256(value.encode()).hexdigest()[:8]}, not shown>"


def _rank(name: str) -> tuple[int, str]:
    first = ("apiVersion", "kind", "metadata")
    return (first.index(name) if name in first else len(first), name)
