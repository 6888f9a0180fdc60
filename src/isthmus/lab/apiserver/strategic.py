"""Strategic merge patch: lists of objects merge by a key that the schema names.

Source: Kubernetes' "Strategic Merge Patch" design: directives `$patch`, `$retainKeys`,
`$setElementOrder/…`, `$deleteFromPrimitiveList/…`.
"""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.errors import bad_request
from isthmus.lab.apiserver.json_values import copied
from isthmus.lab.apiserver.schema import Schema

Json = dict[str, Any]
_PATCH, _RETAIN = "$patch", "$retainKeys"
_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic_merge(obj: Json, patch: Json, schema: Schema | None) -> Json:
    """`obj` after `patch`; neither is changed."""
    merged = _objects(copied(obj), copied(patch), schema)
    return merged or {}


def _objects(target: Json, patch: Json, schema: Schema | None) -> Json | None:
    directive = patch.pop(_PATCH, None)
    if directive == "replace":
        return patch
    if directive == "delete":
        return None
    if directive not in {None, "merge"}:
        raise bad_request(f"unknown patch type {directive!r}")
    retained = patch.pop(_RETAIN, None)
    if retained is not None:
        target = {key: value for key, value in target.items() if key in retained}
    orders = {key.removeprefix(_ORDER): patch.pop(key) for key in list(patch) if key.startswith(_ORDER)}
    deleted = {key.removeprefix(_DELETE): patch.pop(key) for key in list(patch) if key.startswith(_DELETE)}
    before = {key: list(target.get(key) or []) for key in orders}
    for key, values in deleted.items():
        target[key] = [value for value in target.get(key) or [] if value not in values]
    for key, value in patch.items():
        child = schema.child(key) if schema is not None else None
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _set(target, key, _objects(_dict(target.get(key)), value, child))
        elif isinstance(value, list):
            target[key] = _lists(target.get(key) or [], value, child)
        else:
            target[key] = value
    for key, order in orders.items():
        if isinstance(target.get(key), list):
            child = schema.child(key) if schema is not None else None
            target[key] = _ordered(target[key], (order, before.get(key) or []), _merge_key(child))
    return target


def _set(target: Json, key: str, value: Json | None) -> None:
    if value is None:
        target.pop(key, None)
    else:
        target[key] = value


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _merge_key(schema: Schema | None) -> str:
    if schema is None or "merge" not in schema.patch_strategies:
        return ""
    return schema.patch_merge_key


def _lists(target: list[Any], patch: list[Any], schema: Schema | None) -> list[Any]:
    if schema is None or "merge" not in schema.patch_strategies:
        return [item for item in patch if not (isinstance(item, dict) and item.get(_PATCH) == "replace")]
    key = schema.patch_merge_key
    if not key:
        return target + [value for value in patch if value not in target]
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        return [item for item in patch if item.get(_PATCH) != "replace"]
    merged = list(target)
    for item in patch:
        if key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        places = [index for index, each in enumerate(merged) if each.get(key) == item[key]]
        if item.get(_PATCH) == "delete":
            merged = [each for each in merged if each.get(key) != item[key]]
        elif places:
            merged[places[0]] = _objects(merged[places[0]], item, schema.items()) or {}
        else:
            item.pop(_PATCH, None)
            merged.append(_objects({}, item, schema.items()) or {})
    return merged


def _ordered(items: list[Any], orders: tuple[list[Any], list[Any]], key: str) -> list[Any]:
    """`items` in the order that the patch asks for (the first of `orders`).

    Those that it does not name stand where they stood before (the second) among the others.
    """

    def name(item: Any) -> Any:
        return item.get(key) if isinstance(item, dict) else item

    wanted, before = ([name(each) for each in order] for order in orders)
    named = sorted(
        (each for each in items if name(each) in wanted), key=lambda each: wanted.index(name(each))
    )
    others = [each for each in items if name(each) not in wanted]
    ordered: list[Any] = []
    for each in named:
        place = before.index(name(each)) if name(each) in before else -1
        while others and name(others[0]) in before and before.index(name(others[0])) < place:
            ordered.append(others.pop(0))
        ordered.append(each)
    return ordered + others
