"""Rules in CEL that definitions make for their objects: `x-kubernetes-validations`.

The engine is cel-cpp, in which fields have the types that they have in JSON. It knows CEL's own functions: a definition
whose rules call Kubernetes' own (`isURL`, `quantity`, …) is refused, rather than its objects taken unlooked at. What a
rule could cost is not counted here. Source: Kubernetes, "Validation rules" of CustomResourceDefinitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.kit.cel import compiled, evaluated
from isthmus.lab.apiserver.causes import Cause

Json = dict[str, Any]

RULES = "x-kubernetes-validations"
_NAMES = ("self", "oldSelf")
_NOTHING = object()
"""The old value where there was none, or none that could be known for the same."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A place in a schema at which there are rules, or below it."""

    type: str
    rules: tuple[Json, ...]
    fields: Mapping[str, Ruled]
    items: Ruled | None
    values: Ruled | None
    keys: tuple[str, ...]  # by which items of a list are known again; empty: they are not


def ruled(node: Json) -> Ruled | None:
    """The rules of a schema; None where it has none."""
    below = {name: each for name, part in _parts(node, "properties") if (each := ruled(part)) is not None}
    items, values = (
        ruled(node[name]) if isinstance(node.get(name), dict) else None
        for name in ("items", "additionalProperties")
    )
    rules = tuple(node.get(RULES) or ())
    if not (below or items or values or rules):
        return None
    keys = node.get("x-kubernetes-list-map-keys") or ()
    return Ruled(node.get("type", "object"), rules, below, items, values, tuple(keys))


def _parts(node: Json, name: str) -> Iterator[tuple[str, Json]]:
    yield from (node.get(name) or {}).items()


def fault(rule: Json) -> str:
    """Why this API server cannot evaluate `rule`; empty: it can."""
    if rule.get("optionalOldSelf"):
        return "optionalOldSelf is not known here (hint: rules with oldSelf hold for changes alone)"
    found = compiled(str(rule.get("rule", "")), _NAMES)
    return found if isinstance(found, str) else ""


def rules_broken(found: Ruled, value: Any, old: Any = _NOTHING, path: str = "") -> Iterator[Cause]:
    """Which rules `value` breaks, here and below; `old` is what it is to replace.

    What stays as it was is not looked at again, so that objects may be changed elsewhere once a rule has come.
    """
    if value is None:
        return
    for rule in found.rules:
        is_due = old is not _NOTHING if "oldSelf" in rule["rule"] else old != value
        if is_due:
            yield from _broken(
                found, rule, {"self": value, "oldSelf": None if old is _NOTHING else old}, path
            )
    match value:
        case dict():
            for name, each in value.items():
                below = found.fields.get(name)
                known = below is not None
                if (below := below or found.values) is not None:
                    before = old.get(name, _NOTHING) if isinstance(old, dict) else _NOTHING
                    at = f"{path}.{name}" if path else name
                    yield from rules_broken(below, each, before, at if known else f"{path}[{name}]")
        case list() if found.items is not None:
            for index, each in enumerate(value):
                yield from rules_broken(found.items, each, _same(found, each, old), f"{path}[{index}]")


def _same(found: Ruled, item: Any, old: Any) -> Any:
    """The item of the old list that was this one."""
    if not isinstance(old, list):
        return _NOTHING
    if not found.keys:
        return item if item in old else _NOTHING
    wanted = [item.get(key) for key in found.keys]
    return next((each for each in old if [each.get(key) for key in found.keys] == wanted), _NOTHING)


def _broken(found: Ruled, rule: Json, names: Json, path: str) -> Iterator[Cause]:
    said = evaluated(rule["rule"], names)
    if said is True:
        return
    where = f"{path}{rule.get('fieldPath', '')}"
    said_no = isinstance(said, bool)
    own = str(rule.get("message") or rule["rule"].strip())
    message = _message(rule, names) if said_no else f"{said} evaluating rule: {own}"
    reason = rule.get("reason") or "FieldValueInvalid"
    yield Cause(where, reason, f'{_WORDS.get(reason, "Invalid value")}: "{found.type}": {message}')


_WORDS = {
    "FieldValueRequired": "Required value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueDuplicate": "Duplicate value",
}


def _message(rule: Json, names: Json) -> str:
    if expression := rule.get("messageExpression"):
        said = evaluated(expression, names)
        if isinstance(said, str) and said.strip() and "\n" not in said:
            return said.strip()
    return str(rule.get("message") or f"failed rule: {rule['rule'].strip()}")
