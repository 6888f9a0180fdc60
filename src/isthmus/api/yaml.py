"""YAML as kubectl reads it: fast, many documents, and dates stay text.

One pass over the C parser's events makes the values. Nothing recurses, so that no text takes the process down;
nesting deeper than any object's is refused, and aliases that unfold to more than fits into memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import yaml

from isthmus.api.not_yaml import NotYaml, not_yaml

_DEPTH_LIMIT = 200
_NODES_LIMIT = 5_000_000  # a list of 10,000 pods has about a million
_BEGIN = re.compile(r"^---(?=\s|$)", re.MULTILINE)


class Twice(NamedTuple):
    """A key that a mapping has twice, and the line of the second, which holds."""

    key: str
    line: int


class Document(NamedTuple):
    """One document of a stream, the line it starts at, counted from 1, and the keys that stand twice in it."""

    line: int
    value: Any
    twice: tuple[Twice, ...] = ()


def documents(text: str) -> Iterator[Document]:
    """The documents of a YAML stream that are not empty. Raises `NotYaml` where it is no YAML."""
    for found in readable(text):
        if isinstance(found, NotYaml):
            raise found
        yield found


def readable(text: str) -> Iterator[Document | NotYaml]:
    """The documents that are not empty; in place of one that is no YAML, what is wrong with it."""
    stream = _Stream(text)
    try:
        yield from stream.documents()
    except NotYaml as error:
        yield error
    else:
        return
    # Nothing within a document looks like the beginning of one: those after what is wrong are read one by one.
    line, before = 0, 0
    for start, end in pairwise([*(mark.start() for mark in _BEGIN.finditer(text)), len(text)]):
        line += text.count("\n", before, start)
        before = start
        if line > stream.line:
            try:
                yield from _Stream(text[start:end], line).documents()
            except NotYaml as error:
                yield error


class _Stream:
    """Documents of a text, whose first line comes after `first` others."""

    def __init__(self, text: str, first: int = 0) -> None:
        self.line = first  # where the document begins that is read now, counted from 0
        self._text, self._first = text, first

    def documents(self) -> Iterator[Document]:
        """Those that are not empty. Raises `NotYaml`."""
        scalars = _Scalars()
        draft = _Draft(scalars, self._first)
        try:
            parser = yaml.CSafeLoader(self._text)
            for event in iter(parser.get_event, None):
                take = _Draft.TAKE.get(type(event))
                if take:
                    take(draft, event)
                elif type(event) is yaml.DocumentStartEvent:
                    self.line = self._first + _line(event)
                    draft = _Draft(scalars, self._first)
                elif type(event) is yaml.DocumentEndEvent and draft.value is not None:
                    yield Document(draft.line, draft.value, tuple(draft.twice))
        except yaml.YAMLError as error:
            raise not_yaml(error, self._text, self._first) from error
        except UnicodeError as error:
            raise NotYaml(self.line + 1, f"is not YAML: {error}") from error


class _Open(NamedTuple):
    """A collection that others are in, while these are read."""

    into: list[Any] | dict[Any, Any]
    key: Any  # under which the next stands in it
    anchor: str | None
    before: int  # so many values were read before the collection in it


class _Draft:
    """A document in the making. The events of the parser are taken one by one."""

    def __init__(self, scalars: _Scalars, first: int) -> None:
        self.twice: list[Twice] = []
        self.line = 0
        self._scalars, self._first = scalars, first
        self._into: list[Any] | dict[Any, Any] = []
        self._key: Any = _NO_KEY
        self._count = 0  # of values, aliases unfolded
        self._around: list[_Open] = []
        self._meant: dict[str, tuple[Any, int]] = {}  # what anchors are at, and of how many values that is

    @property
    def value(self) -> Any:
        """What was read; None where there was nothing."""
        return self._into[0] if self._into else None

    def scalar(self, event: yaml.ScalarEvent) -> None:
        """A text, a number, true, false or null."""
        try:
            value = _MERGE if event.value == "<<" and self._merges(event) else self._scalars.value(event)
        except (ValueError, LookupError) as error:  # it is not what its form or tag says
            raise self._refused(event, f"a value cannot be read: {error}") from error
        if event.anchor is not None:
            self._meant[event.anchor] = value, 1
        self._put(value, event)

    def _merges(self, event: yaml.ScalarEvent) -> bool:
        """Whether `<<` stands where it means to put in another mapping."""
        is_key = self._key is _NO_KEY and isinstance(self._into, dict)
        return is_key and event.implicit[0]

    def alias(self, event: yaml.AliasEvent) -> None:
        """What stands at an anchor, again."""
        if any(each.anchor == event.anchor for each in self._around):
            raise self._refused(event, f"*{event.anchor} stands within what it stands for")
        if event.anchor not in self._meant:
            raise self._refused(
                event, f"*{event.anchor} stands for nothing (hint: write &{event.anchor} before)"
            )
        value, size = self._meant[event.anchor]
        self._count += size - 1
        self._put(value, event)

    def begin(self, event: yaml.CollectionStartEvent) -> None:
        """A mapping or a sequence."""
        if event.tag not in _COLLECTIONS:
            raise self._refused(event, f"the tag {event.tag} is of nothing that manifests have")
        made: list[Any] | dict[Any, Any] = {} if type(event) is yaml.MappingStartEvent else []
        before = self._count
        self._put(made, event)
        self._around.append(_Open(self._into, self._key, event.anchor, before))
        self._into, self._key = made, _NO_KEY
        if len(self._around) > _DEPTH_LIMIT:
            raise self._refused(event, f"it is nested deeper than {_DEPTH_LIMIT} levels")

    def end(self, event: yaml.CollectionEndEvent) -> None:
        """The end of what began last."""
        made = self._into
        if isinstance(made, dict) and _MERGE in made:
            self._merge(made, event)
        self._into, self._key, anchor, before = self._around.pop()
        if anchor is not None:
            self._meant[anchor] = made, self._count - before

    def _put(self, value: Any, event: yaml.Event) -> None:
        self._count += 1
        if self._count > _NODES_LIMIT:
            raise self._refused(event, f"it unfolds to more than {_NODES_LIMIT} values (hint: fewer aliases)")
        into = self._into
        if isinstance(into, list):
            if not self._around:
                self.line = self._first + _line(event) + 1
            into.append(value)
        elif self._key is _NO_KEY:
            if isinstance(value, dict | list):
                raise self._refused(event, "a key is a text, and no mapping or list")
            if value in into:
                self.twice.append(Twice(str(value), self._first + _line(event) + 1))
            self._key = value
        else:
            into[self._key] = value
            self._key = _NO_KEY

    def _merge(self, made: dict[Any, Any], event: yaml.Event) -> None:
        """Puts in what `<<` stands for, as far as the mapping does not say it itself; of several the first holds."""
        found = made.pop(_MERGE)
        several = found if isinstance(found, list) else [found]
        if not all(isinstance(each, Mapping) for each in several):
            raise self._refused(event, "<< takes a mapping or a list of such")
        for each in several:
            for key, value in each.items():
                made.setdefault(key, value)

    def _refused(self, event: yaml.Event, why: str) -> NotYaml:
        return NotYaml(self._first + _line(event) + 1, f"is not YAML: {why}")

    TAKE: Mapping[type[yaml.Event], Callable[[_Draft, Any], None]] = {
        yaml.ScalarEvent: scalar,
        yaml.AliasEvent: alias,
        yaml.MappingStartEvent: begin,
        yaml.SequenceStartEvent: begin,
        yaml.MappingEndEvent: end,
        yaml.SequenceEndEvent: end,
    }


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark else 0


class _Scalars(yaml.constructor.SafeConstructor, yaml.resolver.Resolver):
    """What scalars are, each text looked at once."""

    def __init__(self) -> None:
        yaml.constructor.SafeConstructor.__init__(self)
        yaml.resolver.Resolver.__init__(self)
        self._known: dict[str, Any] = {}

    def value(self, event: yaml.ScalarEvent) -> Any:
        """What is written; raises `ValueError` and `LookupError` where it is not what its form or tag says."""
        if event.implicit[0]:
            if event.value not in self._known:
                self._known[event.value] = self._plain(event.value)
            return self._known[event.value]
        if event.tag in _TEXTS:
            return event.value
        if event.tag is None or event.tag not in _MAKERS:
            raise ValueError(f"the tag {event.tag} is of nothing that manifests have")
        return _MAKERS[event.tag](self, yaml.ScalarNode(event.tag, event.value))

    def _plain(self, text: str) -> Any:
        tag = _RESOLVE(self, yaml.ScalarNode, text, (True, False))
        make = _MAKERS.get(tag)
        # Numbers to the base of 60 are none for kubectl: `22:22` are two ports.
        return text if make is None or ":" in text else make(self, yaml.ScalarNode("", text))


_RESOLVE: Callable[[_Scalars, type[yaml.Node], str, tuple[bool, bool]], str] = yaml.resolver.Resolver.resolve
_TAG = "tag:yaml.org,2002:"
_TEXTS = frozenset({None, "!", f"{_TAG}str", f"{_TAG}timestamp"})
_COLLECTIONS = frozenset({None, "!", f"{_TAG}map", f"{_TAG}seq"})
_MAKERS: Mapping[str, Callable[[_Scalars, yaml.ScalarNode], Any]] = {
    _TAG + name: yaml.constructor.SafeConstructor.yaml_constructors[_TAG + name]
    for name in ("null", "bool", "int", "float", "binary")
}
_NO_KEY, _MERGE = object(), object()
