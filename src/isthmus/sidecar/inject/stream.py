"""A YAML stream as people write it: taken apart, and one document changed with the rest untouched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isthmus.api.not_yaml import NotYaml
from isthmus.api.yaml import documents
from isthmus.sidecar.inject.splice import CannotSplice, spliced
from isthmus.sidecar.inject.yaml_text import CannotWrite, document

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)


class Part(NamedTuple):
    """One document: its number and line in the stream, both from 1; its text begins with its separator."""

    number: int
    line: int
    text: str


class Rewritten(NamedTuple):
    """The new text; by path what stood where a value is another now; whether all else stayed letter by letter."""

    text: str
    stood: Mapping[str, str]
    is_spliced: bool


def parts(text: str) -> Iterator[Part]:
    """The documents of `text`, also empty ones; their texts, put together, are `text`."""
    starts = [0, *(found.start() for found in _SEPARATOR.finditer(text) if found.start() > 0)]
    if text.startswith("%") and len(starts) > 1:
        del starts[1]  # directives belong to the document that comes after them
    line = 1
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True), start=1):
        yield Part(number, line, text[start:end])
        line += text.count("\n", start, end)


def load(part: Part) -> object:
    """The document as a value; None where it is empty. Raises `NotYaml`, whose line is one of the part."""
    found = [*documents(part.text)]  # all of it is read, also what comes after a document
    return found[0].value if found else None


def rewritten(part: Part, before: object, after: object, kept: Mapping[str, str] | None = None) -> Rewritten:
    """The text of `part`, which means `before`, so that it means `after`; `kept` as in `splice.spliced`."""
    for letters in [kept, {}] if kept else [kept]:
        try:
            text, stood = spliced(part.text, before, after, letters)
            if load(Part(part.number, part.line, text)) == after:
                return Rewritten(text, stood, True)
        except (CannotSplice, CannotWrite, NotYaml):
            continue
    line_end = "\r\n" if "\r\n" in part.text else "\n"
    separator = f"---{line_end}" if part.text.startswith("---") else ""
    return Rewritten(separator + document(after, line_end), {}, False)
