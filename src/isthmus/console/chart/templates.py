"""Objects that depend on settings as templates of Helm: YAML with conditions around what is not always there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from isthmus.console.chart.families import Choice, Entry, Fields, Items, Literal, Node, Taken


class Knob(NamedTuple):
    """A value of the chart that decides something: its ways, and when each is taken. The first is the usual one."""

    path: str
    values: tuple[object, ...]  # of the setting, a way each
    tests: tuple[str, ...]  # expressions of templates


class Marks(NamedTuple):
    """What stands in objects in place of a value, and the expression that puts the value there."""

    texts: dict[str, str]
    numbers: dict[int, str]
    parts: dict[str, str]  # by the JSON of a map or list


def template(node: Node, knobs: Sequence[Knob], marks: Marks) -> str:
    """The template of a list of objects, each a document."""
    return "\n".join(_Writer(knobs, marks).documents(node)) + "\n"


class _Writer(NamedTuple):
    knobs: Sequence[Knob]
    marks: Marks

    def documents(self, node: Node) -> Iterator[str]:
        for entry in _parts(node):
            lines = ["---", *self._value("", entry.node, 0)]
            yield from self._if(entry.there, lines)

    def _if(self, there: Choice | None, lines: list[str], otherwise: Sequence[str] = ()) -> Iterator[str]:
        if there is None:
            yield from lines
            return
        yield f"{{{{- if {self._when(there, True)} }}}}"
        yield from lines
        if otherwise:
            yield "{{- else }}"
            yield from otherwise
        yield "{{- end }}"

    def _when(self, choice: Choice, outcome: Any) -> str:
        """The expression that is true where the choice has that outcome."""
        alternatives = [
            self._all(choice.deciding, taken) for taken, each in choice.outcomes.items() if each == outcome
        ]
        return alternatives[0] if len(alternatives) == 1 else f"(or {' '.join(alternatives)})"

    def _all(self, deciding: Sequence[int], taken: Taken) -> str:
        tests = [self.knobs[at].tests[way] for at, way in zip(deciding, taken, strict=True)]
        return tests[0] if len(tests) == 1 else f"(and {' '.join(tests)})"

    def _value(self, head: str, node: Node, indent: int) -> list[str]:
        """The lines of what follows `head`, which is a key with its colon, a dash, or nothing."""
        margin = " " * indent
        if isinstance(node, Choice):
            return list(self._chosen(head, node, indent))
        part = self._marked(node)
        if part:
            return [
                f"{margin}{head} {{{{- {part} | nindent {indent + 2} }}}}" if head else f"{{{{- {part} }}}}"
            ]
        if isinstance(node, Literal) and not (isinstance(node.value, dict | list) and node.value):
            return [f"{margin}{head}{' ' if head else ''}{self._scalar(node.value)}"]
        below = indent + 2 if head else indent
        lines = [f"{margin}{head}"] if head else []
        empty = (
            "{}"
            if isinstance(node, Fields) or (isinstance(node, Literal) and isinstance(node.value, dict))
            else "[]"
        )
        entries = _parts(node)
        for entry in entries:
            name = f"{self._scalar(entry.key)}:" if empty == "{}" else "-"
            lines += self._if(entry.there, self._value(name, entry.node, below))
        if head and all(entry.there is not None for entry in entries):
            some = [self._when(entry.there, True) for entry in entries if entry.there is not None]
            test = some[0] if len(some) == 1 else f"(or {' '.join(some)})"
            return [f"{{{{- if {test} }}}}", *lines, "{{- else }}", f"{margin}{head} {empty}", "{{- end }}"]
        return lines

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

    def _marked(self, node: Node) -> str:
        if isinstance(node, Literal) and isinstance(node.value, dict | list):
            return self.marks.parts.get(json.dumps(node.value, sort_keys=True), "")
        return ""

    def _scalar(self, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool) and value in self.marks.numbers:
            return f"{{{{ {self.marks.numbers[value]} | int }}}}"
        if not isinstance(value, str):
            return json.dumps(value)
        text = json.dumps(value, ensure_ascii=False).replace("{{", '{{ "{{" }}')
        for mark, expression in self.marks.texts.items():
            text = text.replace(mark, f"{{{{ {expression} }}}}")
        return text


def _parts(node: Node) -> tuple[Entry, ...]:
    match node:
        case Fields(entries) | Items(entries):
            return entries
        case Literal(dict(value)):
            return tuple(Entry(key, None, Literal(each)) for key, each in value.items())
        case Literal(list(value)):
            return tuple(Entry("", None, Literal(each)) for each in value)
    raise TypeError(f"{node!r} has no parts")
