"""A document changed where its value changes; every other letter stays: comments, order, quotes, anchors.

Why it is not written anew: ADR 0041.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from isthmus.sidecar.inject.items import item_name, staying
from isthmus.sidecar.inject.source import Node, nodes, root
from isthmus.sidecar.inject.yaml_text import block, flow, scalar

_REST_OF_LINE = re.compile(r"[ \t]*(#[^\n]*)?(\r?\n|\Z)")

_HANDLER = "/httpGet"
"""What is changed as one thing where it has other keys then, so that the way back gives them their places again."""


class CannotSplice(Exception):
    """The text is written in a way in which one part cannot be changed by itself."""


class Edit(NamedTuple):
    """`text` in the place of what stands from `start` to `end`; `path` of the value that is another then."""

    start: int
    end: int
    text: str
    path: str = ""
    was: str | None = None  # what is to be remembered of it; None: all of it


class _Place(NamedTuple):
    """A node, by its path; in flow style all that is in it is."""

    node: Node
    path: str
    is_flow: bool = False

    def under(self, node: Node, key: object) -> _Place:
        return _Place(node, f"{self.path}/{key}", self.is_flow or self.node.is_flow)


def spliced(
    text: str, before: object, after: object, kept: Mapping[str, str] | None
) -> tuple[str, dict[str, str]]:
    """The text with `after` in the place of `before`, and by path what stood where a value is another now.

    What `kept` has for a path is written there, letter by letter; None: this is not the way back, and nothing is.
    Raises `CannotSplice`, `CannotWrite`.
    """
    top = root(text)
    if top is None:
        raise CannotSplice
    splice = _Splice(text, top, kept)
    made = [*splice.edits(_Place(top, ""), before, after)]
    made += splice.written_out({each.start for each in made})
    edits = sorted(made, key=lambda each: (each.start, each.end))  # at one place, what is within comes first
    parts, at, stood = [], 0, {}
    for each in edits:
        if each.path:
            stood[each.path] = text[each.start : each.end] if each.was is None else each.was
        if each.was is not None:
            continue
        if each.start < at:
            raise CannotSplice
        parts += [text[at : each.start], each.text]
        at = each.end
    result = "".join([*parts, text[at:]])
    return (result if text.endswith("\n") else result.removesuffix("\n").removesuffix("\r")), stood


class _Splice:
    """The edits of one document."""

    def __init__(self, text: str, top: Node, kept: Mapping[str, str] | None) -> None:
        self._text, self._kept, self._is_back = text, kept or {}, kept is not None
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._aliases: dict[str, list[Node]] = {}
        self._meant: dict[str, object] = {}  # by anchors whose values are others now: what is meant elsewhere
        for node in nodes(top):
            if node.form == "alias" and node.anchor:
                self._aliases.setdefault(node.anchor, []).append(node)

    def edits(self, place: _Place, before: object, after: object) -> Iterator[Edit]:
        """What makes `before`, which stands at `place`, into `after`."""
        if before == after and type(before) is type(after):
            return
        node = place.node
        if node.anchor and node.form != "alias" and node.anchor in self._aliases:
            self._meant[node.anchor] = before
        if place.path in self._kept:
            yield self._replaced(place, after)
        elif isinstance(before, dict) and isinstance(after, dict) and node.form == "map":
            yield from self._mapping(place, before, after)
        elif isinstance(before, list) and isinstance(after, list) and node.form == "seq" and after and before:
            yield from self._sequence(place, before, after)
        else:
            yield self._replaced(place, after)

    def written_out(self, begun: Collection[int]) -> Iterator[Edit]:
        """What was meant by aliases of what has changed, in their places, unless an edit has `begun` there."""
        for anchor, value in self._meant.items():
            for each in self._aliases[anchor]:
                if each.start not in begun:
                    yield Edit(each.start, each.end, flow(value))

    def _mapping(self, place: _Place, before: dict[str, object], after: dict[str, object]) -> Iterator[Edit]:
        node = place.node
        is_one = place.path.endswith(_HANDLER) and before.keys() != after.keys()
        if not after or not node.items or is_one:
            yield self._replaced(place, after)
            return
        gone = [key for key in before if key not in after]
        new = [key for key in after if key not in before]
        merged = [
            key for key in after if key not in new and node.at(key) is None and before[key] != after[key]
        ]
        for key, value in after.items():
            found = node.at(key)
            if key in before and found is not None:
                yield from self.edits(place.under(found[1], key), before[key], value)
        pairs = list(zip(gone, new, strict=False)) if len(gone) == len(new) else []
        for index, (old, name) in enumerate(pairs):
            yield self._renamed(place.under(place.node, f"~{index}"), old, {name: after[name]})
        yield from self._without(place, gone[len(pairs) :])
        more = {key: after[key] for key in (*new[len(pairs) :], *merged)}
        if more:
            yield self._with_keys(place, more)

    def _sequence(self, place: _Place, before: list[object], after: list[object]) -> Iterator[Edit]:
        node = place.node
        olds, news = [*map(item_name, before)], [*map(item_name, after)]
        if len(node.items) != len(before) or len(set(olds)) < len(olds) or len(set(news)) < len(news):
            yield self._replaced(place, after)
            return
        stay = staying(dict(zip(olds, before, strict=True)), dict(zip(news, after, strict=True)))
        if not stay:
            yield self._replaced(place, after)
            return
        for index, name in enumerate(olds):
            if name in stay:
                where = place.under(node.items[index], name)
                yield from self.edits(where, before[index], after[news.index(name)])
        yield from self._without_items(place, {i: name for i, name in enumerate(olds) if name not in stay})
        at = 0
        more: list[object] = []
        for name, value in zip(news, after, strict=True):
            if name in stay:
                if more:
                    yield self._with_items(place, olds.index(name), more)
                at, more = olds.index(name) + 1, []
            else:
                more.append(value)
        if more:
            yield self._with_items(place, at, more)

    def _replaced(self, place: _Place, value: object) -> Edit:
        node = place.node
        start, end = node.start, node.stop
        text = self._kept.get(place.path)
        if text is None:
            text = flow(value) if isinstance(value, dict | list) else scalar(value, place.is_flow)
            if start == end and self._text[start - 1 : start] not in {" ", "", "["}:
                text = f" {text}"
        if node.is_block_text and not place.is_flow:
            text += self._line_end
        return Edit(start, end, text, place.path)

    def _with_keys(self, place: _Place, more: Mapping[str, object]) -> Edit:
        node = place.node
        if node.is_flow or place.is_flow:
            at = node.items[-1].stop
            lead = " " if self._text[at - 1] == ":" else ""
            return Edit(at, at, lead + "".join(f", {flow(key)}: {flow(each)}" for key, each in more.items()))
        return self._lines(self._line_after(node), block(more, node.column, self._line_end))

    def _with_items(self, place: _Place, index: int, more: list[object]) -> Edit:
        node = place.node
        kept = [self._kept.get(place.under(node, item_name(each)).path) for each in more]
        if node.is_flow or place.is_flow:
            at = node.items[index - 1].stop if index else node.items[0].start
            new = [f", {flow(each)}" if index else f"{flow(each)}, " for each in more]
            return Edit(at, at, "".join(was or each for was, each in zip(kept, new, strict=True)))
        text = "".join(
            block([each], node.column, self._line_end) if text is None else self._whole_lines(text)
            for each, text in zip(more, kept, strict=True)
        )
        if index == len(node.items) or (index and None not in kept):
            return self._lines(self._line_after(node.items[index - 1]), text)
        dash = self._dash(node, index)
        return Edit(dash - node.column, dash - node.column, text)

    def _whole_lines(self, text: str) -> str:
        return text if text.endswith("\n") else text + self._line_end

    def _renamed(self, place: _Place, old: str, entry: dict[str, object]) -> Edit:
        """One entry in the place of another."""
        found = place.node.at(old)
        if found is None:  # it came by <<
            raise CannotSplice
        text = self._kept.get(place.path)
        if text is None:
            ((key, value),) = entry.items()
            text = f"{flow(key) if place.is_flow else key}: {flow(value)}"
        if found[1].ends_with_its_line:
            text += self._line_end
        return Edit(found[0].start, found[1].stop, text, place.path)

    def _without(self, place: _Place, gone: list[str]) -> Iterator[Edit]:
        node = place.node
        entries = [(key, found) for key in gone if (found := node.at(key)) is not None]
        if len(entries) < len(gone):  # one came by <<
            raise CannotSplice
        if node.is_flow or place.is_flow:
            yield from self._cuts(place, sorted(node.items.index(value) for _, (_, value) in entries))
            return
        for key, (name, value) in entries:
            start = self._line_start(name.start)
            if self._text[start : name.start].strip(" "):
                raise CannotSplice  # it stands on the line of a dash
            yield Edit(start, self._line_after(value), "", f"{place.path}/{key}")

    def _without_items(self, place: _Place, gone: Mapping[int, str]) -> Iterator[Edit]:
        node = place.node
        if node.is_flow or place.is_flow:
            for index, name in gone.items():
                at = node.items[index].start
                was = self._with_comma(node, index, is_first=all(each in gone for each in range(index)))
                yield Edit(at, at, "", place.under(node, name).path, was)
            yield from self._cuts(place, [*gone])
            return
        for index, name in gone.items():
            start, end = self._dash(node, index) - node.column, self._line_after(node.items[index])
            # What is to be remembered is remembered with the comments before it, or of the first one after it.
            if not self._is_back and index:
                start = self._line_after(node.items[index - 1])
            elif not self._is_back and index + 1 < len(node.items):
                end = self._dash(node, index + 1) - node.column
            yield Edit(start, end, "", place.under(node, name).path)

    def _with_comma(self, node: Node, index: int, *, is_first: bool) -> str:
        """An item of what is written in flow style, with what parts it from the item that stays beside it."""
        item = node.items[index]
        if is_first:
            return self._text[item.start : node.items[index + 1].start]
        return self._text[node.items[index - 1].stop : item.stop]

    def _cuts(self, place: _Place, gone: list[int]) -> Iterator[Edit]:
        """Items or entries out of what is written in flow style, with the commas between them."""
        lasts = place.node.items
        firsts = place.node.keys or lasts
        for first in (each for each in gone if each - 1 not in gone):
            last = first
            while last + 1 in gone:
                last += 1
            if first:
                yield Edit(lasts[first - 1].stop, lasts[last].stop, "")
            elif last + 1 < len(lasts):
                yield Edit(firsts[0].start, firsts[last + 1].start, "")
            else:
                yield Edit(firsts[0].start, lasts[last].stop, "")

    def _lines(self, at: int, text: str) -> Edit:
        if at == len(self._text) and at and not self._text.endswith("\n"):
            text = self._line_end + text.removesuffix(self._line_end)
        return Edit(at, at, text)

    def _line_after(self, node: Node) -> int:
        """Where the line begins that comes after the last one of what stands there."""
        stop = node.stop
        if node.ends_with_its_line and (stop == 0 or self._text[stop - 1] == "\n"):
            return stop
        rest = _REST_OF_LINE.match(self._text, stop)
        if rest is None:
            raise CannotSplice
        return rest.end()

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _dash(self, node: Node, index: int) -> int:
        """Where the dash of an item is, with nothing but spaces before it."""
        start = self._line_start(node.items[index].start)
        if self._text[start : start + node.column + 1] != " " * node.column + "-":
            raise CannotSplice
        return start + node.column
