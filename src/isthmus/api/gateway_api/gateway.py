"""GatewayClass and Gateway: who runs gateways, and what they listen for. Source: Gateway API reference, v1."""

from __future__ import annotations

import msgspec

from isthmus.api.gateway_api.reference import (
    GROUP,
    LocalObjectReference,
    ObjectReference,
    PortNumber,
    SecretObjectReference,
)
from isthmus.api.gateway_api.selector import LabelSelector
from isthmus.api.resource import Object, Part


class ParametersReference(Part, frozen=True, kw_only=True):
    """An object with parameters for all gateways of a class."""

    group: str
    kind: str
    name: str
    namespace: str = ""


class GatewayClassSpec(Part, frozen=True, kw_only=True):
    """Who looks after the gateways of this class."""

    controller_name: str
    parameters_ref: ParametersReference | None = None
    description: str = ""


class GatewayClass(Object, frozen=True, kw_only=True):
    """A kind of gateways. It belongs to the whole cluster."""

    spec: GatewayClassSpec


class RouteNamespaces(Part, frozen=True, kw_only=True):
    """From which namespaces routes may be attached: `All`, `Selector`, `Same`, `None`."""

    from_: str = msgspec.field(default="Same", name="from")
    selector: LabelSelector | None = None


class RouteGroupKind(Part, frozen=True, kw_only=True):
    """A kind of routes."""

    group: str = GROUP
    kind: str


class AllowedRoutes(Part, frozen=True, kw_only=True):
    """Which routes may be attached to a listener; no kinds: those that its protocol can take."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteGroupKind, ...] = ()


class ListenerTLSConfig(Part, frozen=True, kw_only=True):
    """TLS as a listener speaks it."""

    mode: str = "Terminate"
    certificate_refs: tuple[SecretObjectReference, ...] = ()
    options: dict[str, str] = {}


class Listener(Part, frozen=True, kw_only=True):
    """A port, a protocol and a host that a gateway listens for."""

    name: str
    hostname: str = ""
    port: PortNumber
    protocol: str
    tls: ListenerTLSConfig | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewayAddress(Part, frozen=True, kw_only=True):
    """An address that is wanted; an empty value: any of that type."""

    type: str = "IPAddress"
    value: str = ""


class GatewayInfrastructure(Part, frozen=True, kw_only=True):
    """What is put on the objects that are made for a Gateway."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    parameters_ref: LocalObjectReference | None = None


class ListenerNamespaces(Part, frozen=True, kw_only=True):
    """From which namespaces listeners may be added."""

    from_: str = msgspec.field(default="None", name="from")
    selector: LabelSelector | None = None


class AllowedListeners(Part, frozen=True, kw_only=True):
    """Who may add listeners."""

    namespaces: ListenerNamespaces = ListenerNamespaces()


class FrontendTLSValidation(Part, frozen=True, kw_only=True):
    """Which clients' certificates are trusted."""

    ca_certificate_refs: tuple[ObjectReference, ...]
    mode: str = "AllowValidOnly"


class TLSConfig(Part, frozen=True, kw_only=True):
    """TLS towards clients."""

    validation: FrontendTLSValidation | None = None


class TLSPortConfig(Part, frozen=True, kw_only=True):
    """TLS towards clients on one port."""

    port: PortNumber
    tls: TLSConfig


class FrontendTLSConfig(Part, frozen=True, kw_only=True):
    """TLS towards clients on all HTTPS listeners, and on some ports otherwise."""

    default: TLSConfig
    per_port: tuple[TLSPortConfig, ...] = ()


class GatewayBackendTLS(Part, frozen=True, kw_only=True):
    """Who the gateway is towards services that want TLS."""

    client_certificate_ref: SecretObjectReference | None = None


class GatewayTLSConfig(Part, frozen=True, kw_only=True):
    """TLS of the whole gateway, towards both sides."""

    backend: GatewayBackendTLS | None = None
    frontend: FrontendTLSConfig | None = None


class GatewaySpec(Part, frozen=True, kw_only=True):
    """The listeners of a gateway and where it is to be reached."""

    gateway_class_name: str
    listeners: tuple[Listener, ...]
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: GatewayInfrastructure | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTLSConfig | None = None


class Gateway(Object, frozen=True, kw_only=True):
    """A gateway that is made and run because this object exists."""

    spec: GatewaySpec
