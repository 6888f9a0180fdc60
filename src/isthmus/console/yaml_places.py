"""Where things are written: `spec.http[1].match[0]` of an object leads to a line of a file.

Lines within documents are looked up only when they are asked for, and in one document alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import yaml


class Place(NamedTuple):
    """Where an object is written: in the document of a text that begins at a line, or at a path within it."""

    file: str
    text: str
    document: int
    within: str = ""

    def line(self, path: str = "") -> int:
        """The line, counted from 1, of what `path` leads to in the object; of what it reaches of it."""
        whole = f"{self.within}.{path.removeprefix('$').removeprefix('.')}".strip(".")
        node = _composed(self.text, self.document) if whole else None
        return self.document if node is None else _line(node, whole, self.document)

    def __str__(self) -> str:
        return f"{self.file}:{self.line()}" if self.file else ""


NOWHERE = Place("", "", 0)
"""Where an object is that nobody wrote into a file."""


_END = re.compile(r"^(?:---|\.\.\.)(?=\s|$)", re.MULTILINE)


@lru_cache(maxsize=256)
def _composed(text: str, line: int) -> yaml.Node | None:
    """The document that begins at a line; its first line is counted as 0."""
    begins = _lines(text)
    if line > len(begins):
        return None
    start = begins[line - 1]
    after = begins[line] if line < len(begins) else len(text)
    end = _END.search(text, after)
    try:
        return yaml.compose(text[start : end.start() if end else len(text)], Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return None


@lru_cache(maxsize=16)
def _lines(text: str) -> list[int]:
    """Where each line begins."""
    return [0, *(each.end() for each in re.finditer("\n", text))]


def _line(node: yaml.Node, path: str, first: int) -> int:
    """The line of what `path` reaches, in YAML within YAML as well: MeshConfig stands in a text of a ConfigMap."""
    steps = re.findall(r"[^.\[\]]+", path)
    for number, step in enumerate(steps):
        if isinstance(node, yaml.ScalarNode) and node.style == "|":
            begins = first + node.start_mark.line + 1
            within = _composed(node.value, 1)
            return begins - 1 if within is None else _line(within, ".".join(steps[number:]), begins)
        below = _below(node, step)
        if below is None:
            break
        node = below
    return first + node.start_mark.line


def _below(node: yaml.Node, step: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode):
        number = int(step) if step.isdecimal() else len(node.value)
        return node.value[number] if number < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
