"""How objects of the Gateway API speak of other objects. Source: Gateway API reference, v1."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Part

GROUP = "gateway.networking.k8s.io"

PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]


class ParentReference(Part, frozen=True, kw_only=True):
    """What a route wants to be attached to: a Gateway, or a Service of the mesh."""

    group: str = GROUP
    kind: str = "Gateway"
    namespace: str = ""  # empty: the route's own
    name: str
    section_name: str = ""  # a listener's name, or that of a Service's port
    port: PortNumber | None = None


class BackendObjectReference(Part, frozen=True, kw_only=True):
    """Whom requests or connections are sent to."""

    group: str = ""
    kind: str = "Service"
    name: str
    namespace: str = ""  # empty: the route's own
    port: PortNumber | None = None


class BackendRef(BackendObjectReference, frozen=True, kw_only=True):
    """A share of the connections."""

    weight: Weight = 1


class SecretObjectReference(Part, frozen=True, kw_only=True):
    """A certificate with its key."""

    group: str = ""
    kind: str = "Secret"
    name: str
    namespace: str = ""


class ObjectReference(Part, frozen=True, kw_only=True):
    """An object of any kind, of any namespace."""

    group: str
    kind: str
    name: str
    namespace: str = ""


class LocalObjectReference(Part, frozen=True, kw_only=True):
    """An object of any kind in the same namespace."""

    group: str
    kind: str
    name: str
