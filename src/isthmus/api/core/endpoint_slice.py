"""EndpointSlice: the fields the mesh reads."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Object

SERVICE_NAME = "kubernetes.io/service-name"
"""Label that says whose endpoints a slice holds."""


class EndpointConditions(msgspec.Struct, frozen=True, gc=False):
    """What is known of an endpoint's health; None means unknown, which counts as true for `ready`."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class TargetRef(msgspec.Struct, frozen=True, gc=False):
    """The object behind an endpoint."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class SliceEndpoint(msgspec.Struct, frozen=True, rename="camel"):
    """One endpoint; of its addresses only the first is meant."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    target_ref: TargetRef | None = None
    node_name: str | None = None
    zone: str | None = None
    hostname: str | None = None


class EndpointPort(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A port that all endpoints of the slice serve."""

    name: str | None = None
    port: int | None = None
    protocol: str | None = None
    app_protocol: str | None = None


class EndpointSlice(Object, frozen=True, kw_only=True):
    """Some endpoints of one Service."""

    address_type: str = "IPv4"
    endpoints: tuple[SliceEndpoint, ...] | None = ()
    ports: tuple[EndpointPort, ...] | None = ()

    @property
    def service_name(self) -> str:
        """The name of the Service, in the slice's own namespace."""
        return self.metadata.labels.get(SERVICE_NAME, "")
