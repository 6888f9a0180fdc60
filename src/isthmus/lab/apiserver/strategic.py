"""Strategic merge patch: lists of objects merge by a key that the schema names.

Source: Kubernetes' "Strategic Merge Patch" design: directives `$patch`, `$retainKeys`,
`$setElementOrder/…`, `$deleteFromPrimitiveList/…`.
"""

from __future__ import annotations

import copy
from typing import Any

from isthmus.lab.apiserver.errors import bad_request
from isthmus.lab.apiserver.schema import Schema

Json = dict[str, Any]
_PATCH, _RETAIN = "$patch", "$retainKeys"
_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic_merge(obj: Json, patch: Json, schema: Schema | None) -> Json:
    """`obj` after `patch`; neither is changed."""
    merged = _objects(copy.deepcopy(obj), copy.deepcopy(patch), schema)
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
            target[key] = _ordered(target[key], order, _merge_key(schema.child(key) if schema else None))
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


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """`items` in the order that the patch asks for; those it does not name keep their place after them."""
    names = [each.get(key) if isinstance(each, dict) else each for each in order]

    def place(item: Any) -> int:
        name = item.get(key) if isinstance(item, dict) else item
        return names.index(name) if name in names else len(names)

    return sorted(items, key=place)
