"""Objects as JSON: copies of them, and what is nothing in them."""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]


def copied(obj: Json) -> Json:
    """A copy of `obj` that shares nothing with it. Several times faster than `copy.deepcopy`."""
    copy: Json = msgspec.json.decode(msgspec.json.encode(obj))
    return copy


def without_nulls(value: Any) -> Any:
    """`value` without what is null in it: to Kubernetes' own types null is nothing. Changes `value`."""
    match value:
        case dict():
            for name in [name for name, each in value.items() if each is None]:
                del value[name]
            for each in value.values():
                without_nulls(each)
        case list():
            for each in value:
                without_nulls(each)
    return value
