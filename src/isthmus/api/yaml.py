"""YAML as kubectl reads it: fast, many documents, and dates stay text.

What would take the process down is refused before it is composed: nesting deeper than any object's, over
which the C parser's stack overflows, and aliases that unfold to more than fits into memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import yaml

from isthmus.api.errors import InvalidConfig

_DEPTH_LIMIT = 200
_NODES_LIMIT = 5_000_000  # a list of 10,000 pods has about a million


class _Loader(yaml.CSafeLoader):
    """Without timestamps: kubectl takes `2020-01-01` for text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


class Document(NamedTuple):
    """One document of a stream and the line it starts at, counted from 1."""

    line: int
    value: object


def documents(text: str) -> Iterator[Document]:
    """The documents of a YAML stream that are not empty. Raises `InvalidConfig` where it is no YAML."""
    with suppress(yaml.YAMLError):  # it is met again below, after the documents before it
        _refuse_bombs(text)
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            value = loader.construct_document(node)
            if node is not None and value is not None:
                yield Document(node.start_mark.line + 1, value)
    except yaml.YAMLError as error:
        raise InvalidConfig("$", f"is not YAML: {error}") from error
    except (ValueError, LookupError) as error:  # a scalar is not what its form or tag says
        raise InvalidConfig("$", f"is not YAML: a value cannot be read: {error}") from error
    finally:
        loader.dispose()


class _Open(NamedTuple):
    """A collection that has begun: its anchor, and how many values it holds so far, aliases unfolded."""

    anchor: str | None
    size: int


def _refuse_bombs(text: str) -> None:
    sizes: dict[str, int] = {}  # of what each anchor stands for
    parts = [_Open(None, 0)]
    for event in yaml.parse(text, Loader=_Loader):
        match event:
            case yaml.CollectionStartEvent():
                parts.append(_Open(event.anchor, 1))
                sizes.pop(event.anchor or "", None)
                if len(parts) > _DEPTH_LIMIT:
                    raise InvalidConfig("$", f"is nested deeper than {_DEPTH_LIMIT} levels")
                continue
            case yaml.CollectionEndEvent():
                anchor, size = parts.pop()
            case yaml.AliasEvent():
                if any(each.anchor == event.anchor for each in parts[1:]):
                    raise InvalidConfig("$", f"*{event.anchor} stands within what it stands for")
                anchor, size = None, sizes.get(event.anchor or "", 1)
            case yaml.ScalarEvent():
                anchor, size = event.anchor, 1
            case _:
                continue
        if anchor is not None:
            sizes[anchor] = size
        parts[-1] = parts[-1]._replace(size=parts[-1].size + size)
        if parts[-1].size > _NODES_LIMIT:
            raise InvalidConfig("$", f"unfolds to more than {_NODES_LIMIT} values (hint: fewer aliases)")
