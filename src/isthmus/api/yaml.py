"""YAML as kubectl reads it: fast, many documents, and dates stay text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import yaml

from isthmus.api.errors import InvalidConfig


class _Loader(yaml.CSafeLoader):
    """Without timestamps: kubectl takes `2020-01-01` for text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class Document(NamedTuple):
    """One document of a stream and the line it starts at, counted from 1."""

    line: int
    value: object


def documents(text: str) -> Iterator[Document]:
    """The documents of a YAML stream that are not empty. Raises `InvalidConfig` where it is no YAML."""
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            value = loader.construct_document(node)
            if node is not None and value is not None:
                yield Document(node.start_mark.line + 1, value)
    except yaml.YAMLError as error:
        raise InvalidConfig("$", f"is not YAML: {error}") from error
    finally:
        loader.dispose()
