"""The paths by which definitions of custom resources name fields: `.status.conditions[?(@.type=="Ready")]`.

Kubernetes' own JSONPath, as far as printer columns and scale paths use it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

_Step = Callable[[Any], Iterator[Any]]

_TOKEN = re.compile(
    r"""\.\.(?P<deep>[\w-]+)
      | \.(?P<field>(?:[\w/-]|\\.)+)
      | \[\s*(?P<quote>['"])(?P<key>.*?)(?P=quote)\s*\]
      | \[\s*(?P<all>\*)\s*\] | \.(?P<every>\*)
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<first>-?\d*)\s*:\s*(?P<last>-?\d*)\s*\]
      | \[\?\(\s*@(?P<inner>[^=!<>)]*?)\s*(?:(?P<sign>==|!=)\s*(?P<value>[^)]*?)\s*)?\)\]""",
    re.VERBOSE,
)


class InvalidPath(ValueError):
    """A path that cannot be read."""


def find(path: str, value: object) -> list[Any]:
    """All that is at `path` in `value`; nothing where it leads nowhere. Raises `InvalidPath`."""
    found: list[Any] = [value]
    for step in _steps(path):
        found = [below for each in found for below in step(each)]
    return found


@cache
def _steps(path: str) -> tuple[_Step, ...]:
    text = path.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    text = text.removeprefix("$")
    if text == ".":
        return ()
    if text and text[0] not in ".[":
        text = "." + text
    steps: list[_Step] = []
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise InvalidPath(f"cannot read {path!r} from {text[place:]!r}")
        steps.append(_step(token))
        place = token.end()
    return tuple(steps)


def _step(token: re.Match[str]) -> _Step:
    part = token.groupdict()
    if part["deep"]:
        return lambda value: _deep(part["deep"], value)
    if part["field"] is not None:
        name = re.sub(r"\\(.)", r"\1", part["field"])
        return lambda value: _field(name, value)
    if part["key"] is not None:
        return lambda value: _field(part["key"], value)
    if part["all"] or part["every"]:
        return _all
    if part["index"] is not None:
        place = int(part["index"])
        return lambda value: iter(value[place:][:1]) if isinstance(value, list) else iter(())
    if part["first"] is not None:
        bounds = slice(*(int(each) if each else None for each in (part["first"], part["last"])))
        return lambda value: iter(value[bounds]) if isinstance(value, list) else iter(())
    inner, sign, wanted = part["inner"], part["sign"], _literal(part["value"])
    return lambda value: (each for each in _all(value) if _holds(each, inner, sign, wanted))


def _field(name: str, value: object) -> Iterator[Any]:
    if isinstance(value, dict) and name in value:
        yield value[name]


def _all(value: object) -> Iterator[Any]:
    match value:
        case dict():
            yield from value.values()
        case list():
            yield from value


def _deep(name: str, value: object) -> Iterator[Any]:
    yield from _field(name, value)
    for each in _all(value):
        yield from _deep(name, each)


def _holds(value: object, inner: str, sign: str | None, wanted: object) -> bool:
    found = find(inner or ".", value)
    if sign is None:
        return bool(found)
    return bool(found) and (found[0] == wanted) is (sign == "==")


def _literal(text: str | None) -> object:
    if text is None:
        return None
    if text[:1] in {'"', "'"}:
        return text[1:-1]
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else text
