"""Fields that someone set and that have no effect here: told by the fields' own descriptions.

A description that begins with `No effect:` says why; what it says is what the finding says.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.api.described import docstrings
from isthmus.api.errors import Problem
from isthmus.api.resource import structs_at

_MARK = "No effect:"


def without_effect(found: object, at: str = "$") -> Iterator[Problem]:
    """The path and the reason for each field that is set, in `found` or below it, and has no effect."""
    for place, part in structs_at(found, at):
        said = docstrings(type(part))
        for field in msgspec.structs.fields(part):
            value, here = getattr(part, field.name), f"{place}.{field.encode_name}"
            if _is_unset(field, value):
                continue
            text = " ".join(said.get(field.name, "").split())
            if text.startswith(_MARK):
                reason = text.removeprefix(_MARK).partition(" Envoy: ")[0].strip().rstrip(".")
                yield here, f"has no effect: {reason}"
            else:
                yield from without_effect(value, here)


def _is_unset(field: msgspec.structs.FieldInfo, value: object) -> bool:
    if field.default is not msgspec.NODEFAULT:
        return bool(value == field.default)
    return field.default_factory is not msgspec.NODEFAULT and not value
