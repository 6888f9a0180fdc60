"""Untyped data becomes typed here, and nowhere else (ADR 0002). What is wrong is said with its path and a mend."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Meta, Object
from isthmus.api.shape import shaped
from isthmus.api.validate import instead_of, problems
from isthmus.kit.unreadable import UNREADABLE


def decode(kind: Kind, raw: bytes | msgspec.Raw | Mapping[str, object]) -> Object:
    """The object in `raw`, JSON or already a mapping. Raises `InvalidConfig` with everything that is wrong."""
    try:
        if isinstance(raw, Mapping):
            found = msgspec.convert(raw, kind.type)
        else:
            found = msgspec.json.decode(raw, type=kind.type)
    except msgspec.ValidationError as error:
        return _in_spite_of(kind, raw, error)
    except UNREADABLE as error:
        raise InvalidConfig("$", f"is not JSON: {error}") from error
    wrong = tuple(problems(found))
    if wrong:
        instead = instead_of(kind.type, found, found.metadata, wrong)
        raise InvalidConfig(*wrong[0], others=wrong[1:], instead=instead)
    return found


def _in_spite_of(
    kind: Kind, raw: bytes | msgspec.Raw | Mapping[str, object], error: msgspec.ValidationError
) -> Object:
    """The object where only nulls were in the way; raises `InvalidConfig` with all that is wrong."""
    try:
        tree = raw if isinstance(raw, Mapping) else msgspec.json.decode(raw)
    except UNREADABLE as unreadable:
        raise InvalidConfig("$", f"is not JSON: {unreadable}") from unreadable
    if not isinstance(tree, Mapping):
        raise InvalidConfig("$", "is no object") from error
    found = shaped(tree, kind.type, kind.name)
    wrong = found.all_wrong(problems)[:_MOST]
    if wrong or found.rest is None:
        meta = shaped(tree.get("metadata") or {}, Meta).rest or Meta()
        instead = instead_of(kind.type, found.rest, meta, wrong)
        raise InvalidConfig(*wrong[0], others=wrong[1:], instead=instead) from error
    return found.rest


_MOST = 20


def equal_for_mesh(one: Object | None, other: Object | None, *, with_generation: bool = False) -> bool:
    """Whether the mesh would see no difference: all it reads but the resource version. None equals nothing.

    The generation is one where a status has to name it.
    """
    if one is None or other is None:
        return False
    if with_generation and one.metadata.generation != other.metadata.generation:
        return False
    return _without_version(one) == _without_version(other)


def _without_version(found: Object) -> Object:
    meta = msgspec.structs.replace(found.metadata, resource_version="", generation=0)
    return msgspec.structs.replace(found, metadata=meta)
