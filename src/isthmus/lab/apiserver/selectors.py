"""Label and field selectors, as lists and watches take them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from isthmus.lab.apiserver.errors import bad_request

Json = dict[str, Any]
Test = Callable[[Json], bool]

_PART = re.compile(r",(?![^()]*\))")
_SET = re.compile(r"^\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s!=,()]+)\s*$")


def everything(_: Json) -> bool:
    """The selector that lets all through."""
    return True


def selector(labels: str, fields: str) -> Test:
    """Whether an object passes both selectors. Raises a 400 where one cannot be read."""
    tests = [_label_test(part) for part in _parts(labels)] + [_field_test(part) for part in _parts(fields)]
    if not tests:
        return everything
    return lambda obj: all(test(obj) for test in tests)


def labels_match(wanted: Json | None, labels: Mapping[str, str]) -> bool:
    """Whether `labels` pass a `LabelSelector` object; nothing passes an absent one."""
    if wanted is None:
        return False
    for key, value in (wanted.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_expression_holds(each, labels) for each in wanted.get("matchExpressions") or [])


def _expression_holds(each: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(each["key"]), each.get("values") or []
    match each["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def _parts(text: str) -> list[str]:
    return [part for part in _PART.split(text) if part.strip()]


def _labels(obj: Json) -> Json:
    return obj.get("metadata", {}).get("labels") or {}


def _label_test(part: str) -> Test:
    if found := _SET.match(part):
        key, word, listed = found.groups()
        values = {value.strip() for value in listed.split(",")}
        if word == "in":
            return lambda obj: _labels(obj).get(key) in values
        return lambda obj: _labels(obj).get(key) not in values
    if found := _EQUAL.match(part):
        key, sign, value = found.groups()
        if sign == "!=":
            return lambda obj: _labels(obj).get(key) != value
        return lambda obj: _labels(obj).get(key) == value
    if found := _EXISTS.match(part):
        negated, key = found.groups()
        return lambda obj: (key in _labels(obj)) != bool(negated)
    raise bad_request(f"unable to parse requirement: {part!r} is no label selector")


def _field_test(part: str) -> Test:
    found = _EQUAL.match(part)
    if found is None:
        raise bad_request(f"invalid selector: {part!r} is no field selector")
    path, sign, value = found.groups()
    steps = tuple(path.split("."))
    if sign == "!=":
        return lambda obj: _field(obj, steps) != value
    return lambda obj: _field(obj, steps) == value


def _field(obj: Json, steps: tuple[str, ...]) -> str:
    found: Any = obj
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    if found is None:
        return ""
    return str(found).lower() if isinstance(found, bool) else str(found)
