"""Envoy's rules for one value (`validate.rules`, protoc-gen-validate): a check for each rule.

A check returns what the value must be where it is not, and None where it is fine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol, cast

from google.protobuf.message import Message

Scalar = int | float | str | bytes | bool
Check = Callable[[Scalar], str | None]

# Source: validate.proto, KnownRegex; the strict forms are RFC 7230's, the others forbid what splits lines.
_HEADER_NAME = re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0A-\x1F\x7F]*")
_LOOSE_HEADER = re.compile(r"[^\x00\x0A\x0D]*")


class Rules(Protocol):
    """A rule message: one of `validate.UInt32Rules`, `StringRules`, …, read by field name."""

    def HasField(self, name: str, /) -> bool: ...  # noqa: N802 - protobuf's name


def scalar_checks(rules: Message) -> tuple[Check, ...]:
    """The checks for each rule that is set in `rules`; a rule we do not know is no check."""
    by_name = {field.name: value for field, value in rules.ListFields()}
    checks = [make(value) for name, make in _RULES.items() if (value := by_name.get(name)) is not None]
    if "well_known_regex" in by_name:
        checks.append(_header(by_name["well_known_regex"], by_name.get("strict", True)))
    if by_name.get("ignore_empty"):
        return tuple(_unless_empty(check) for check in checks)
    return tuple(checks)


def enum_checks(rules: Message, defined: frozenset[int]) -> tuple[Check, ...]:
    """The checks of an enum, whose rule `defined_only` allows the numbers in `defined`."""
    checks = list(scalar_checks(rules))
    if any(field.name == "defined_only" and value for field, value in rules.ListFields()):
        checks.append(lambda value: None if value in defined else "must be a value of the enum")
    return tuple(checks)


def _compare(word: str, holds: Callable[[float, float], bool]) -> Callable[[float], Check]:
    def make(limit: float) -> Check:
        return lambda value: None if holds(cast(float, value), limit) else f"must be {word} {_short(limit)}"

    return make


def _short(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _length(word: str, holds: Callable[[int, int], bool]) -> Callable[[int], Check]:
    def make(limit: int) -> Check:
        return lambda value: None if holds(len(cast(str, value)), limit) else f"must be {word} {limit} long"

    return make


def _byte_length(word: str, holds: Callable[[int, int], bool]) -> Callable[[int], Check]:
    def make(limit: int) -> Check:
        return lambda value: (
            None if holds(len(cast(str, value).encode()), limit) else f"must be {word} {limit} bytes long"
        )

    return make


def _const(wanted: Scalar) -> Check:
    return lambda value: None if value == wanted else f"must be {wanted!r}"


def _in(wanted: list[Scalar]) -> Check:
    allowed = list(wanted)
    return lambda value: None if value in allowed else f"must be one of {allowed}"


def _not_in(unwanted: list[Scalar]) -> Check:
    refused = list(unwanted)
    return lambda value: None if value not in refused else f"must be none of {refused}"


def _pattern(text: str) -> Check:
    pattern = re.compile(text)
    return lambda value: None if pattern.search(cast(str, value)) else f"must match {text}"


def _prefix(text: str) -> Check:
    return lambda value: None if cast(str, value).startswith(text) else f"must start with {text!r}"


def _suffix(text: str) -> Check:
    return lambda value: None if cast(str, value).endswith(text) else f"must end with {text!r}"


def _header(known: int, strict: bool) -> Check:
    exact, what = (_HEADER_NAME, "name") if known == 1 else (_HEADER_VALUE, "value")
    pattern = exact if strict else _LOOSE_HEADER
    return lambda value: None if pattern.fullmatch(cast(str, value)) else f"must be a header {what}"


def _unless_empty(check: Check) -> Check:
    return lambda value: check(value) if value else None


_RULES: dict[str, Callable[..., Check]] = {
    "const": _const,
    "lt": _compare("less than", lambda value, limit: value < limit),
    "lte": _compare("at most", lambda value, limit: value <= limit),
    "gt": _compare("more than", lambda value, limit: value > limit),
    "gte": _compare("at least", lambda value, limit: value >= limit),
    "in": _in,
    "not_in": _not_in,
    "len": _length("exactly", lambda length, limit: length == limit),
    "min_len": _length("at least", lambda length, limit: length >= limit),
    "max_len": _length("at most", lambda length, limit: length <= limit),
    "min_bytes": _byte_length("at least", lambda length, limit: length >= limit),
    "max_bytes": _byte_length("at most", lambda length, limit: length <= limit),
    "pattern": _pattern,
    "prefix": _prefix,
    "suffix": _suffix,
}
