"""Lines of parts of YAML documents: `spec.http[1].match[0]` in the document that starts at a line."""

from __future__ import annotations

import re

import yaml


def line_of(text: str, start: int, path: str) -> int:
    """The line, counted from 1, of what `path` leads to in the document at line `start`; of what it reaches of it."""
    for node in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        if node is not None and node.start_mark.line + 1 == start:
            return _walk(node, path).start_mark.line + 1
    return start


def _walk(node: yaml.Node, path: str) -> yaml.Node:
    for step in re.findall(r"[^.\[\]]+", path):
        below = _below(node, step)
        if below is None:
            return node
        node = below
    return node


def _below(node: yaml.Node, step: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode):
        number = int(step) if step.isdecimal() else len(node.value)
        return node.value[number] if number < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None
