"""ReferenceGrant: who may refer to objects of its namespace. Source: Gateway API reference, v1beta1."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object, Part


class GrantFrom(Part, frozen=True, kw_only=True):
    """Objects that may refer: of one kind, in one namespace."""

    group: str
    kind: str
    namespace: str


class GrantTo(Part, frozen=True, kw_only=True):
    """Objects that may be referred to: all of a kind, or the one with that name."""

    group: str
    kind: str
    name: str = ""


class ReferenceGrantSpec(Part, frozen=True, kw_only=True):
    """Any of `from` may refer to any of `to`."""

    from_: tuple[GrantFrom, ...] = msgspec.field(name="from")
    to: tuple[GrantTo, ...]


class ReferenceGrant(Object, frozen=True, kw_only=True):
    """Who may refer to objects of this namespace from others."""

    spec: ReferenceGrantSpec
