"""ReferenceGrant: who may refer to objects of its namespace. Source: Gateway API reference, v1beta1."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object, Part


class GrantFrom(Part, frozen=True, kw_only=True):
    """Objects that may refer: of one kind, in one namespace."""

    group: str
    """The group of what refers: that of the Gateway API."""
    kind: str
    """The kind of what refers: of a route, or `Gateway` for certificates."""
    namespace: str
    """The namespace of what refers; there are no wildcards."""


class GrantTo(Part, frozen=True, kw_only=True):
    """Objects that may be referred to: all of a kind, or the one with that name."""

    group: str
    """The group of what is referred to: empty, the core group."""
    kind: str
    """The kind of what is referred to: `Service`, `Secret` or `ConfigMap`."""
    name: str = ""
    """The one object that is meant; empty: all of that kind in the grant's namespace."""


class ReferenceGrantSpec(Part, frozen=True, kw_only=True):
    """Any of `from` may refer to any of `to`."""

    from_: tuple[GrantFrom, ...] = msgspec.field(name="from")
    """Who may refer: any of these. Envoy: routes lead to the Service in place of refusing with 500; listeners with the
    Secret are there."""
    to: tuple[GrantTo, ...]
    """To what: any of these, in the grant's own namespace."""


class ReferenceGrant(Object, frozen=True, kw_only=True):
    """Who may refer to objects of this namespace from others."""

    spec: ReferenceGrantSpec
