"""The limits that a schema sets to single values: ranges, lengths, patterns, choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from isthmus.lab.apiserver.causes import Cause, duplicate, invalid, show, unsupported

Json = dict[str, Any]


def limits_broken(node: Json, value: object, path: str) -> Iterator[Cause]:
    """What of `node` says no to `value`, which has the right type."""
    if "enum" in node and value not in node["enum"]:
        yield unsupported(path, value, node["enum"])
    match value:
        case bool():
            pass
        case int() | float():
            yield from _number_broken(node, value, path)
        case str():
            yield from _string_broken(node, value, path)
        case list():
            yield from _list_broken(node, value, path)
        case dict():
            yield from _count_broken(node, value, path, ("Properties", "properties"))
    yield from _choice_broken(node, value, path)


def _number_broken(node: Json, value: float, path: str) -> Iterator[Cause]:
    least, most = node.get("minimum"), node.get("maximum")
    if least is not None and (value < least or (node.get("exclusiveMinimum") and value == least)):
        edge = "greater than" if node.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid(path, value, f"{path} in body should be {edge} {least}")
    if most is not None and (value > most or (node.get("exclusiveMaximum") and value == most)):
        edge = "less than" if node.get("exclusiveMaximum") else "less than or equal to"
        yield invalid(path, value, f"{path} in body should be {edge} {most}")
    step = node.get("multipleOf")
    if step and value % step:
        yield invalid(path, value, f"{path} in body should be a multiple of {step}")


def _string_broken(node: Json, value: str, path: str) -> Iterator[Cause]:
    if "maxLength" in node and len(value) > node["maxLength"]:
        yield Cause(
            path, "FieldValueTooLong", f"Too long: may not be more than {node['maxLength']} characters"
        )
    if "minLength" in node and len(value) < node["minLength"]:
        yield invalid(path, value, f"{path} in body should be at least {node['minLength']} chars long")
    pattern = node.get("pattern")
    if pattern and not _matches(pattern, value):
        yield invalid(path, value, f"{path} in body should match '{pattern}'")
    check = _FORMATS.get(node.get("format", ""))
    if check is not None and not check(value):
        yield invalid(path, value, f"{path} in body must be of type {node['format']}: {show(value)}")


def _list_broken(node: Json, value: list[Any], path: str) -> Iterator[Cause]:
    yield from _count_broken(node, value, path, ("Items", "items"))
    if node.get("uniqueItems"):
        seen = [show(each) for each in value]
        yield from (duplicate(f"{path}[{i}]", value[i]) for i, each in enumerate(seen) if each in seen[:i])


def _count_broken(node: Json, value: Json | list[Any], path: str, words: tuple[str, str]) -> Iterator[Cause]:
    suffix, word = words
    most, least = node.get(f"max{suffix}"), node.get(f"min{suffix}")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} {word}")
    if least is not None and len(value) < least:
        yield invalid(path, value, f"{path} in body should have at least {least} {word}")


def _choice_broken(node: Json, value: object, path: str) -> Iterator[Cause]:
    for each in node.get("allOf", ()):
        if not _fits(each, value):
            yield invalid(path, value, f"{path} in body must validate all the schemas (allOf)")
    if "anyOf" in node and not any(_fits(each, value) for each in node["anyOf"]):
        yield invalid(path, value, f"{path} in body must validate at least one schema (anyOf)")
    if "oneOf" in node:
        fitting = sum(_fits(each, value) for each in node["oneOf"])
        if fitting != 1:
            found = f"Found {fitting} valid alternatives" if fitting else "Found none valid"
            yield invalid(
                path, value, f"{path} in body must validate one and only one schema (oneOf). {found}"
            )
    if "not" in node and _fits(node["not"], value):
        yield invalid(path, value, f"{path} in body must not validate the schema (not)")


def _fits(node: Json, value: object) -> bool:
    """Whether `value` is as the value validation `node` says, in which there may be types and fields."""
    if "type" in node and not _is(node["type"], value):
        return False
    if next(limits_broken(node, value, ""), None) is not None:
        return False
    match value:
        case dict():
            if any(name not in value for name in node.get("required", ())):
                return False
            fields = node.get("properties", {})
            return all(_fits(fields[name], each) for name, each in value.items() if name in fields)
        case list():
            return all(_fits(node.get("items", {}), each) for each in value)
        case _:
            return True


def _is(kind: str, value: object) -> bool:
    match kind:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            return isinstance(value, int | float) and not isinstance(value, bool)


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern, or `None` where Python cannot read what Go can: then it forbids nothing."""
    try:
        return re.compile(pattern.replace("\\z", "\\Z"))
    except re.error:
        return None


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.search(value) is not None


_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": _DATE_TIME.fullmatch,
    "date": re.compile(r"\d{4}-\d\d-\d\d").fullmatch,
    "uuid": re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}").fullmatch,
    # Go skips line ends in base64, and so do people who fold it.
    "byte": lambda text: _BASE64.fullmatch(text.replace("\n", "").replace("\r", "")),
}
