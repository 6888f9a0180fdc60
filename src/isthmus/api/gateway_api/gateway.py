"""GatewayClass and Gateway: who runs gateways, and what they listen for. Source: Gateway API reference, v1."""

from __future__ import annotations

import msgspec

from isthmus.api.core.label_selector import LabelSelector
from isthmus.api.gateway_api.reference import (
    GROUP,
    LocalObjectReference,
    ObjectReference,
    PortNumber,
    SecretObjectReference,
)
from isthmus.api.resource import Object, Part


class ParametersReference(Part, frozen=True, kw_only=True):
    """An object with parameters for all gateways of a class."""

    group: str
    """The object's group; no parameters are known."""
    kind: str
    """The object's kind; no parameters are known."""
    name: str
    """The object's name; it is not looked for."""
    namespace: str = ""
    """The object's namespace; it is not looked for."""


class GatewayClassSpec(Part, frozen=True, kw_only=True):
    """Who looks after the gateways of this class."""

    controller_name: str
    """Who runs the Gateways of this class; `istio.io/gateway-controller` is this mesh. Others' are left to them.
    Envoy: whether there are listeners."""
    parameters_ref: ParametersReference | None = None
    """Parameters for all Gateways of the class. None are known: the class's status and a warning say so, and its
    Gateways are run without."""
    description: str = ""
    """A text for people; nothing else reads it."""


class GatewayClass(Object, frozen=True, kw_only=True):
    """A kind of gateways. It belongs to the whole cluster."""

    spec: GatewayClassSpec


class RouteNamespaces(Part, frozen=True, kw_only=True):
    """From which namespaces routes may be attached: `All`, `Selector`, `Same`, `None`."""

    from_: str = msgspec.field(default="Same", name="from")
    """`All`; `Same`, the Gateway's own; `Selector`; `None`. Envoy: whose routes are in the route configuration."""
    selector: LabelSelector | None = None
    """By labels of the namespaces, where `from` is `Selector`."""


class RouteGroupKind(Part, frozen=True, kw_only=True):
    """A kind of routes."""

    group: str = GROUP
    """The group of the routes: that of the Gateway API."""
    kind: str
    """The kind: `HTTPRoute` or `GRPCRoute` for HTTP and HTTPS, `TLSRoute` for TLS that is passed through, `TCPRoute`
    for TCP and for TLS that ends here."""


class AllowedRoutes(Part, frozen=True, kw_only=True):
    """Which routes may be attached to a listener; no kinds: those that its protocol can take."""

    namespaces: RouteNamespaces = RouteNamespaces()
    """Where these routes may be from. Envoy: whose routes are in the route configuration."""
    kinds: tuple[RouteGroupKind, ...] = ()
    """Kinds of routes; without any all that the protocol can take. One that it cannot take is an error. Envoy: whose
    routes are in the route configuration."""


class ListenerTLSConfig(Part, frozen=True, kw_only=True):
    """TLS as a listener speaks it."""

    mode: str = "Terminate"
    """`Terminate`: TLS ends here; `Passthrough`: it goes on unopened, by server name, for protocol TLS. Envoy: whether
    there is a `transport_socket`."""
    certificate_refs: tuple[SecretObjectReference, ...] = ()
    """Secrets with a certificate and its key; several, as of RSA and ECDSA, are all offered. With a wrong one the
    listener is not run. Envoy: `tls_certificate_sds_secret_configs`."""
    options: dict[str, str] = {}
    """`gateway.istio.io/tls-terminate-mode` is read: `SIMPLE`, `MUTUAL`, `OPTIONAL_MUTUAL` or `ISTIO_MUTUAL`. Others
    have no effect, which a warning says. Envoy: `require_client_certificate`."""


class Listener(Part, frozen=True, kw_only=True):
    """A port, a protocol and a host that a gateway listens for."""

    name: str
    """By which routes and the status speak of it."""
    hostname: str = ""
    """The host, or `*.` and a domain, that requests must be for; empty: all. Of two listeners of a port the more
    specific has its hosts alone. Envoy: `virtual_hosts.domains`, `filter_chain_match.server_names`."""
    port: PortNumber
    """The port of the Gateway's Service; Envoy itself may listen at another, as the Service says. Listeners of one
    protocol can share it. Envoy: the listener's `address`."""
    protocol: str
    """`HTTP`, `HTTPS`, `TLS` or `TCP`. Envoy: the filter `http_connection_manager`, or `tcp_proxy`."""
    tls: ListenerTLSConfig | None = None
    """How TLS is spoken; HTTPS and TLS need it. Envoy: `transport_socket` of the filter chain."""
    allowed_routes: AllowedRoutes = AllowedRoutes()
    """Which routes may be attached. Envoy: whose routes are in the route configuration."""


class GatewayAddress(Part, frozen=True, kw_only=True):
    """An address that is wanted; an empty value: any of that type."""

    type: str = "IPAddress"
    """`IPAddress`, or `Hostname` for the name of a Service that stands already. With any other the Gateway is not
    run."""
    value: str = ""
    """The address for the Gateway's own Service to ask for, or the Service whose pods run the Gateway: `name`, or
    `name.namespace.svc.` and the domain. Envoy: to which proxies the listeners are sent."""


class GatewayInfrastructure(Part, frozen=True, kw_only=True):
    """What is put on the objects that are made for a Gateway."""

    labels: dict[str, str] = {}
    """Labels of the Service, Deployment, pods and account that are made for the Gateway."""
    annotations: dict[str, str] = {}
    """Annotations of these objects; `networking.istio.io/service-type` says the type of the Service."""
    parameters_ref: LocalObjectReference | None = None
    """Parameters for these objects. None are known: the Gateway is not run, with an error."""


class ListenerNamespaces(Part, frozen=True, kw_only=True):
    """From which namespaces listeners may be added."""

    from_: str = msgspec.field(default="None", name="from")
    """`All`, `Same`, `Selector` or `None`. Only `None` is what is done."""
    selector: LabelSelector | None = None
    """By labels of the namespaces. It has no effect."""


class AllowedListeners(Part, frozen=True, kw_only=True):
    """Who may add listeners."""

    namespaces: ListenerNamespaces = ListenerNamespaces()
    """Where listeners may be added from. Objects that add listeners are not read."""


class FrontendTLSValidation(Part, frozen=True, kw_only=True):
    """Which clients' certificates are trusted."""

    ca_certificate_refs: tuple[ObjectReference, ...]
    """One ConfigMap or Secret with `ca.crt`: clients must have a certificate of its CAs. Where none is right, or there
    are several, the listener is not run. Envoy: `validation_context_sds_secret_config`."""
    mode: str = "AllowValidOnly"
    """`AllowValidOnly`: no connection without a valid certificate. With any other the listener is not run. Envoy:
    `require_client_certificate`."""


class TLSConfig(Part, frozen=True, kw_only=True):
    """TLS towards clients."""

    validation: FrontendTLSValidation | None = None
    """Whose certificates clients must have; without it they need none. Envoy: `require_client_certificate`,
    `combined_validation_context`."""


class TLSPortConfig(Part, frozen=True, kw_only=True):
    """TLS towards clients on one port."""

    port: PortNumber
    """The port of the HTTPS listeners that are meant. Envoy: which listener has the `transport_socket`."""
    tls: TLSConfig
    """TLS on that port, in place of `default`. Envoy: `transport_socket` of the filter chain."""


class FrontendTLSConfig(Part, frozen=True, kw_only=True):
    """TLS towards clients on all HTTPS listeners, and on some ports otherwise."""

    default: TLSConfig
    """TLS of HTTPS listeners on all ports that `perPort` does not name. Envoy: `transport_socket` of the filter
    chain."""
    per_port: tuple[TLSPortConfig, ...] = ()
    """TLS of HTTPS listeners on single ports. Envoy: `transport_socket` of the filter chain."""


class GatewayBackendTLS(Part, frozen=True, kw_only=True):
    """Who the gateway is towards services that want TLS."""

    client_certificate_ref: SecretObjectReference | None = None
    """The certificate shown to services that a BackendTLSPolicy is for.
    Envoy: `tls_certificate_sds_secret_configs` of the upstream."""


class GatewayTLSConfig(Part, frozen=True, kw_only=True):
    """TLS of the whole gateway, towards both sides."""

    backend: GatewayBackendTLS | None = None
    """Towards services that a BackendTLSPolicy is for. Envoy: `transport_socket` of the upstreams."""
    frontend: FrontendTLSConfig | None = None
    """Towards clients of HTTPS listeners. Envoy: `transport_socket` of the filter chains."""


class GatewaySpec(Part, frozen=True, kw_only=True):
    """The listeners of a gateway and where it is to be reached."""

    gateway_class_name: str
    """The class, which says who runs it; `istio` is this mesh's, even where no such class is written. Envoy: whether
    there are listeners."""
    listeners: tuple[Listener, ...]
    """What it listens for. One that is wrong is not run, and the others are. Envoy: listeners and their filter
    chains."""
    addresses: tuple[GatewayAddress, ...] = ()
    """Where it is to be reached. With one of type Hostname, or with several, no Envoy is made for it: pods behind a
    Service that stands already run it. Envoy: to which proxies the listeners are sent."""
    infrastructure: GatewayInfrastructure | None = None
    """What is put on the objects that are made for it."""
    allowed_listeners: AllowedListeners | None = None
    """Who may add listeners to it. Nobody can, which a warning says."""
    tls: GatewayTLSConfig | None = None
    """TLS of the whole Gateway. Envoy: `transport_socket` of filter chains and upstreams."""


class Gateway(Object, frozen=True, kw_only=True):
    """A gateway that is made and run because this object exists."""

    spec: GatewaySpec
