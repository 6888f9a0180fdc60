"""Objects that depend on settings as templates of Helm: YAML with conditions around what is not always there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from isthmus.console.chart.families import Choice, Entry, Fields, Items, Literal, Node
from isthmus.console.chart.knobs import Each, Knob, Knobs, Marks, value

UNFOLDED = "zz-unfolded-zz"
"""The key of a map that stands for a text of YAML within an object, into which a value is merged."""

PART = "zz-part "
"""What stands before the JSON of a map or list that is a value's as it is."""
_WITH_NAMESPACE = "{{- if .Values.withNamespace }}"


def template(name: str, test: str, node: Node, knobs: Knobs) -> str:
    """The template of a list of objects, each a document, which are there where `test` is true.

    `name` is its own among those of the chart.
    """
    writer = _Writer(name, knobs.found, knobs.marks)
    lines = [f"{{{{- if {test} }}}}", *writer.documents(node), "{{- end }}"]
    return "\n".join([*lines, *writer.within]) + "\n"


class _Writer:
    def __init__(self, name: str, knobs: Sequence[Knob], marks: Marks) -> None:
        self._name = name
        self._knobs = knobs
        self._marks = marks
        self.within: list[str] = []  # templates that others include
        self._open: list[str] = []  # over whose entries we are going

    def documents(self, node: Node) -> Iterator[str]:
        for entry in _parts(node):

            def write(node: Node = entry.node) -> list[str]:
                return ["---", *self._value("", node, 0)]

            lines = self._entry(entry, write)
            is_namespace = entry.key.startswith("Namespace ")
            yield from [_WITH_NAMESPACE, *lines, "{{- end }}"] if is_namespace else lines

    def _entry(self, entry: Entry, write: Callable[[], list[str]], opening: str = "") -> list[str]:
        """The lines of a field or an item, where it is there, and as often as it is."""
        opening = opening or self._opening(entry)
        if not opening or opening in self._open:
            return list(self._if(entry.there, write()))
        self._open.append(opening)
        lines = [f"{{{{- range {opening} }}}}", *write(), "{{- end }}"]
        self._open.pop()
        return list(self._if(entry.there, lines))

    def _opening(self, entry: Entry) -> str:
        """What goes over the entries of which the item is one."""
        found = {each.opening + value(each.path) for each in self._own(entry.node)}
        if len(found) > 1:
            raise ValueError(f"{entry.key} is made of entries of {sorted(found)} at once")
        return "".join(found)

    def _own(self, node: Node) -> Iterator[Each]:
        """The entries that a node is made of, but for those of which lists within it are made."""
        match node:
            case Fields(entries):
                for entry in entries:
                    if entry.key not in self._marks.each:
                        yield from self._own(entry.node)
            case Literal(dict(fields)):
                for key, each in fields.items():
                    if key not in self._marks.each:
                        yield from self._own(Literal(each))
            case Choice(_, outcomes):
                for each in outcomes.values():
                    yield from self._own(Literal(each))
            case Literal(str(text)):
                yield from (each for mark, each in self._marks.each.items() if mark in text)

    def _if(self, there: Choice | None, lines: Sequence[str]) -> Iterator[str]:
        if there is None:
            yield from lines
            return
        yield f"{{{{- if {self._when(there, True)} }}}}"
        yield from lines
        yield "{{- end }}"

    def _when(self, choice: Choice, outcome: Any) -> str:
        """The expression that is true where the choice has that outcome."""
        found: list[tuple[int | None, ...]] = [
            ways for ways, each in choice.outcomes.items() if each == outcome
        ]
        for place, at in enumerate(choice.deciding):
            found = list(_whatever(found, place, len(self._knobs[at].tests)))
        alternatives = [self._all(choice.deciding, ways) for ways in found]
        return alternatives[0] if len(alternatives) == 1 else f"(or {' '.join(alternatives)})"

    def _all(self, deciding: Sequence[int], ways: Sequence[int | None]) -> str:
        tests = [
            self._knobs[at].tests[way] for at, way in zip(deciding, ways, strict=True) if way is not None
        ]
        if not tests:
            return "true"
        return tests[0] if len(tests) == 1 else f"(and {' '.join(tests)})"

    def _value(self, head: str, node: Node, indent: int) -> list[str]:
        """The lines of what follows `head`, which is a key with its colon, a dash, or nothing."""
        margin = " " * indent
        if isinstance(node, Choice):
            return list(self._chosen(head, node, indent))
        if isinstance(node, Literal):
            if isinstance(node.value, str) and node.value.startswith(PART):
                whole = self._marks.parts[node.value.removeprefix(PART)]
                return [f"{margin}{head} {{{{- {whole} | nindent {indent + 2} }}}}"]
            part = self._marks.parts.get(json.dumps(node.value))
            if part or not (isinstance(node.value, dict | list) and node.value):
                said = f"{{{{ {part} }}}}" if part else self._scalar(node.value)
                return [f"{margin}{head}{' ' if head else ''}{said}"]
        if _is_map(node) and [entry.key for entry in _parts(node)] == [UNFOLDED]:
            return [self._unfolded(f"{margin}{head}", _parts(node)[0].node, indent)]
        return self._nested(head, node, indent)

    def _nested(self, head: str, node: Node, indent: int) -> list[str]:
        """The lines of a map or a list that has something, or may have."""
        margin, below = " " * indent, indent + 2 if head else indent
        entries, is_map = _parts(node), _is_map(node)
        lines = [f"{margin}{head}"] if head else []
        fixed = [entry.key for entry in entries if entry.key not in self._marks.each]
        for entry in entries:
            name, opening = "-", ""
            if is_map:
                name = f"{self._scalar(entry.key)}:"
                each = self._marks.each.get(entry.key)
                opening = f"{each.opening}{_without(value(each.path), fixed)}" if each else ""

            def write(name: str = name, node: Node = entry.node) -> list[str]:
                return self._value(name, node, below)

            if is_map and not opening:
                lines += self._if(entry.there, write())
            else:
                lines += self._entry(entry, write, opening)
        some = [self._when(entry.there, True) for entry in entries if entry.there is not None]
        if head and len(some) == len(entries):
            test = some[0] if len(some) == 1 else f"(or {' '.join(some)})"
            empty = "{}" if is_map else "[]"
            return [f"{{{{- if {test} }}}}", *lines, "{{- else }}", f"{margin}{head} {empty}", "{{- end }}"]
        return lines

    def _unfolded(self, head: str, node: Node, indent: int) -> str:
        """The line of a text of YAML, into which the value of the same name is merged."""
        setting = {"mesh:": "mesh", "values:": "sidecar"}[head.replace('"', "").strip()]
        name = f"isthmus.{self._name}.{setting}"
        self.within += [f'{{{{- define "{name}" }}}}', *self._nested("", node, 0), "{{- end }}"]
        merged = f'include "isthmus.merged" (list (include "{name}" $ | fromYaml) {value(setting)})'
        return f"{head} |- {{{{- {merged} | fromJson | toYaml | nindent {indent + 2} }}}}"

    def _chosen(self, head: str, choice: Choice, indent: int) -> Iterator[str]:
        outcomes: list[Any] = []
        for each in choice.outcomes.values():
            if each not in outcomes:
                outcomes.append(each)
        *others, last = reversed(outcomes)
        for number, outcome in enumerate(others):
            yield f"{{{{- {'else ' if number else ''}if {self._when(choice, outcome)} }}}}"
            yield from self._value(head, Literal(outcome), indent)
        yield "{{- else }}"
        yield from self._value(head, Literal(last), indent)
        yield "{{- end }}"

    def _scalar(self, scalar: Any) -> str:
        if isinstance(scalar, int) and not isinstance(scalar, bool) and scalar in self._marks.numbers:
            return f"{{{{ {self._marks.numbers[scalar]} }}}}"
        if not isinstance(scalar, str):
            return json.dumps(scalar)
        each = self._marks.each.get(scalar)
        if each is not None:  # users' own words, with whatever is in them
            return f"{{{{ {each.expression} | toString | toJson }}}}"
        text = json.dumps(scalar, ensure_ascii=False).replace("{{", '{{ "{{" }}')
        for mark, expression in self._marks.texts.items():
            text = text.replace(mark, f"{{{{ {expression} }}}}")
        for mark, each in self._marks.each.items():
            text = text.replace(mark, f"{{{{ {each.expression} }}}}")
        return text


def _whatever(
    found: Sequence[tuple[int | None, ...]], place: int, count: int
) -> Iterator[tuple[int | None, ...]]:
    """The same alternatives, with none of the ways at `place` where each of all `count` is among them."""
    groups: dict[tuple[int | None, ...], list[tuple[int | None, ...]]] = {}
    for each in found:
        groups.setdefault((*each[:place], None, *each[place + 1 :]), []).append(each)
    for merged, group in groups.items():
        yield from [merged] if len(group) == count else group


def _without(path: str, keys: Sequence[str]) -> str:
    """The map at `path` without what an object says itself."""
    return f"(omit {path} {' '.join(map(json.dumps, keys))})" if keys else path


def _is_map(node: Node) -> bool:
    return isinstance(node, Fields) or (isinstance(node, Literal) and isinstance(node.value, dict))


def _parts(node: Node) -> tuple[Entry, ...]:
    match node:
        case Fields(entries) | Items(entries):
            return entries
        case Literal(dict(fields)):
            return tuple(Entry(key, None, Literal(each)) for key, each in fields.items())
        case Literal(list(items)):
            return tuple(Entry("", None, Literal(each)) for each in items)
    raise TypeError(f"{node!r} has no parts")
