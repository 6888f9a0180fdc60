"""Lines of parts of YAML documents: `spec.http[1].match[0]` in the document that starts at a line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import yaml


def line_of(text: str, start: int, path: str) -> int:
    """The line, counted from 1, of what `path` leads to in the document at line `start`; of what it reaches of it."""
    node = _documents(text).get(start)
    return start if node is None else _line(node, path)


@lru_cache(maxsize=256)
def _documents(text: str) -> Mapping[int, yaml.Node]:
    """The documents of a text, and the items of those that are lists, by the line at which each starts."""
    found: dict[int, yaml.Node] = {}
    for node in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        if node is None:
            continue
        found[node.start_mark.line + 1] = node
        items = _below(node, "items")
        for item in items.value if isinstance(items, yaml.SequenceNode) else ():
            found.setdefault(item.start_mark.line + 1, item)
    return found


def _line(node: yaml.Node, path: str) -> int:
    """The line of what `path` reaches, in YAML within YAML as well: MeshConfig stands in a text of a ConfigMap."""
    steps = re.findall(r"[^.\[\]]+", path)
    for number, step in enumerate(steps):
        if isinstance(node, yaml.ScalarNode) and node.style == "|":
            within = _documents(node.value).get(1)
            rest = ".".join(steps[number:])
            return node.start_mark.line + 1 + (_line(within, rest) if within is not None else 0)
        below = _below(node, step)
        if below is None:
            break
        node = below
    return node.start_mark.line + 1


def _below(node: yaml.Node, step: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode):
        number = int(step) if step.isdecimal() else len(node.value)
        return node.value[number] if number < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
