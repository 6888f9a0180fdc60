"""Where in the text of a YAML document each of its values stands.

One pass over the C parser's events, as `api.yaml` makes the values; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml


@dataclass(slots=True, eq=False)
class Node:
    """A value in the text, from `start` to `end`, of which a collection in block style says nothing: see `stop`."""

    start: int
    end: int
    column: int
    form: str  # map, seq, scalar, alias
    anchor: str | None = None
    is_flow: bool = False
    is_block_text: bool = False  # after | or >: it ends with its last line
    keys: list[Node] = field(default_factory=list)  # of a mapping
    items: list[Node] = field(default_factory=list)  # and its values, or those of a sequence
    text: str = ""  # of a scalar

    @property
    def stop(self) -> int:
        """Where the last thing in it ends."""
        found = self
        while found.form in {"map", "seq"} and not found.is_flow and found.items:
            found = found.items[-1]
        return found.end

    @property
    def ends_with_its_line(self) -> bool:
        found = self
        while found.form in {"map", "seq"} and not found.is_flow and found.items:
            found = found.items[-1]
        return found.is_block_text

    def at(self, key: str) -> tuple[Node, Node] | None:
        """The key and its value; of a key that stands twice the last one, which holds."""
        pairs = [
            (name, value)
            for name, value in zip(self.keys, self.items, strict=True)
            if name.form == "scalar" and name.text == key
        ]
        return pairs[-1] if pairs else None


def root(text: str) -> Node | None:
    """The one document of `text`, which `api.yaml` has read; None where it is empty."""
    top = Node(0, 0, 0, "seq")
    around, open_ = [], top
    for event in _events(text):
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                form = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
                node = _node(event, form)
                node.is_flow = bool(event.flow_style)
                _put(open_, node)
                around.append(open_)
                open_ = node
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                open_.end = _index(event.end_mark)
                open_.column = _column(text, open_)
                open_ = around.pop()
            case yaml.ScalarEvent():
                node = _node(event, "scalar")
                node.text, node.is_block_text = event.value, event.style in {"|", ">"}
                _put(open_, node)
            case yaml.AliasEvent():
                _put(open_, _node(event, "alias"))
            case _:
                pass
    return top.items[0] if top.items else None


def nodes(top: Node) -> Iterator[Node]:
    """All of them, each before what is in it."""
    rest = [top]
    while rest:
        node = rest.pop()
        yield node
        rest += reversed(node.items)
        rest += node.keys


def _events(text: str) -> Iterator[yaml.Event]:
    parser = yaml.CSafeLoader(text)
    return iter(parser.get_event, None)


def _node(event: yaml.NodeEvent, form: str) -> Node:
    column = event.start_mark.column if event.start_mark else 0
    return Node(_index(event.start_mark), _index(event.end_mark), column, form, event.anchor)


def _column(text: str, node: Node) -> int:
    """Where each line of a collection in block style begins; anchor and tag stand elsewhere."""
    if node.is_flow or not node.items:
        return node.column
    if node.form == "map":
        return node.keys[0].column
    line = text.rfind("\n", 0, node.items[0].start) + 1
    indented = len(text[line:]) - len(text[line:].lstrip(" "))
    return indented if node.anchor else node.column


def _index(mark: Any) -> int:
    return int(mark.index)


def _put(into: Node, node: Node) -> None:
    is_key = into.form == "map" and len(into.keys) == len(into.items)
    (into.keys if is_key else into.items).append(node)
