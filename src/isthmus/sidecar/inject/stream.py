"""A YAML stream as people write it: taken apart, and one document written anew with the rest untouched.

Other than `api.yaml` it keeps what makes a document a text: its separators, and which strings were quoted.
kubectl takes a plain `y` or `1e3` for something else than Python does, so quotes must not get lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
# A generated string that begins like a number or is one of YAML's short booleans.
_AMBIGUOUS = re.compile(r"[-+]?\.?\d.*|[yYnN]")
_INT = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_STRING, _INTEGER = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int"


class NotYaml(Exception):
    """What a document has wrong, and in which line of the stream, counted from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


class Part(NamedTuple):
    """One document: its number and line in the stream, both from 1; its text begins with its separator."""

    number: int
    line: int
    text: str


class _Text(str):
    """A string of a document, and how it was written: plain, quoted or as a block."""

    style: str | None = None


class _Loader(yaml.CSafeLoader):
    """Dates and `22:22` stay text, as for kubectl; strings keep their style."""


class _Dumper(yaml.CSafeDumper):
    pass


def parts(text: str) -> Iterator[Part]:
    """The documents of `text`, also empty ones; their texts, put together, are `text`."""
    starts = [0, *(found.start() for found in _SEPARATOR.finditer(text) if found.start() > 0)]
    line = 1
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True), start=1):
        yield Part(number, line, text[start:end])
        line += text.count("\n", start, end)


def load(part: Part) -> object:
    """The document as a value; None where it is empty. Raises `NotYaml`."""
    try:
        return yaml.load(part.text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "cannot be read"
        raise NotYaml(part.line + (mark.line if mark else 0), problem) from error
    except yaml.YAMLError as error:
        raise NotYaml(part.line, str(error).partition("\n")[0]) from error


def rewritten(part: Part, document: object) -> str:
    """The text of `part` with `document` in the place of what was there."""
    separator = "---\n" if part.text.startswith("---") else ""
    text = separator + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)
    return text.replace("\n", "\r\n") if "\r\n" in part.text else text


def _read_text(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> _Text:
    text = _Text(loader.construct_scalar(node))
    text.style = node.style
    return text


def _write_read(dumper: yaml.CSafeDumper, text: _Text) -> yaml.ScalarNode:
    return dumper.represent_scalar(_STRING, str(text), style=text.style)


def _write_own(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(_STRING, text, style='"' if _AMBIGUOUS.fullmatch(text) else None)


_Loader.add_constructor(_STRING, _read_text)
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, _INT if tag == _INTEGER else pattern)
        for tag, pattern in resolvers
        if tag.rpartition(":")[2] not in {"timestamp", "value"}
    ]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Dumper.add_representer(_Text, _write_read)
_Dumper.add_representer(str, _write_own)
