"""Destination: a service, a subset of it, a port of it, and its share of what is sent there."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Part
from isthmus.api.words import PortNumber

Weight = Annotated[int, Meta(ge=0)]


class PortSelector(Part, frozen=True, kw_only=True):
    """A port, by number."""

    number: PortNumber = 0
    """The number of the service's port."""


class Destination(Part, frozen=True, kw_only=True):
    """A service, a subset of it, a port of it."""

    host: str
    """The service: a name of the object's own namespace, `name.namespace`, or a full name. One that is not there
    answers 503. Envoy: the fourth part of the upstream's name."""
    subset: str = ""
    """A subset that a DestinationRule defines. Envoy: the third part of the upstream's name."""
    port: PortSelector | None = None
    """The port; without it the service's only one, else the one that was called.
    Envoy: the second part of the upstream's name."""
