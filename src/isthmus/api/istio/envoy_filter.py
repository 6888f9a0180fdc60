"""EnvoyFilter: patches of what Envoy is sent. Source: Istio's EnvoyFilter reference, every field.

Words that must be one of several are plain strings here, so that `envoy_filter_problems` can name the nearest.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from isthmus.api.resource import Object, Part

APPLY_TO = (
    "LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER", "ROUTE_CONFIGURATION", "VIRTUAL_HOST",
    "HTTP_ROUTE", "CLUSTER", "EXTENSION_CONFIG", "BOOTSTRAP", "LISTENER_FILTER",
)  # fmt: skip
OPERATIONS = (
    "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE",
    "MERGE_AND_REPLACE_LIST",
)  # fmt: skip
CONTEXTS = ("ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT")
ROUTE_ACTIONS = ("ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE")
FILTER_CLASSES = ("UNSPECIFIED", "AUTHN", "AUTHZ", "STATS")

EnvoyValue = Annotated[object, Meta(extra_json_schema={"description": "As Envoy's API has it."})]
"""Anything: Envoy's own API says what it may be."""


class WorkloadSelector(Part, frozen=True, kw_only=True):
    """Workloads with certain labels."""

    labels: dict[str, str] = {}
    """Labels that they have, all of them; at least one."""


class PolicyTargetReference(Part, frozen=True, kw_only=True):
    """An object whose proxies are meant."""

    group: str = ""
    """The group of its kind, as `gateway.networking.k8s.io`."""
    kind: str = ""
    """Its kind: Gateway or GatewayClass; in an AuthorizationPolicy Service and ServiceEntry, too."""
    name: str = ""
    """Its name."""
    namespace: str = ""
    """Its namespace, which is that of the object that refers to it."""


class ProxyMatch(Part, frozen=True, kw_only=True):
    """What a proxy must say of itself."""

    proxy_version: str = ""
    """An expression of RE2, found anywhere in the version that the proxy says, ISTIO_META_ISTIO_VERSION of its agent;
    where it says none, nothing is found."""
    metadata: dict[str, str] = {}
    """Entries that are all among the metadata of the proxy's node."""


class SubFilterMatch(Part, frozen=True, kw_only=True):
    """An HTTP filter within the connection manager."""

    name: str = ""
    """Its name, or the one that it had before Envoy renamed it: `envoy.router`.
    Envoy: `name` of an entry of `http_filters`."""


class FilterMatch(Part, frozen=True, kw_only=True):
    """A network filter."""

    name: str = ""
    """Its name, or the one that it had before Envoy renamed it. Envoy: `name` of an entry of `filters`."""
    sub_filter: SubFilterMatch | None = None
    """The HTTP filter that is meant, with applyTo HTTP_FILTER alone."""


class FilterChainMatch(Part, frozen=True, kw_only=True):
    """A filter chain of a listener."""

    name: str = ""
    """Its name. Envoy: the chain's `name`."""
    sni: str = ""
    """A server name that it is for. Envoy: one of `filter_chain_match.server_names`."""
    transport_protocol: str = ""
    """Whether it is for TLS, `tls`, or for plain text, `raw_buffer`. Envoy: `filter_chain_match.transport_protocol`."""
    application_protocols: str = ""
    """Protocols of ALPN that it is for, with commas between, all of them.
    Envoy: `filter_chain_match.application_protocols`."""
    destination_port: int = 0
    """The port that it is for. Envoy: `filter_chain_match.destination_port`."""
    filter: FilterMatch | None = None
    """The filter that is meant."""


class ListenerMatch(Part, frozen=True, kw_only=True):
    """A listener, or a part of it."""

    name: str = ""
    """Its name. Envoy: the listener's `name`."""
    port_number: int = 0
    """Its port, or that of a Service that leads to it; for chains and filters of captured traffic that of the chain.
    Envoy: `port_value` of the listener's `address`; `destination_port` of chains in `virtualInbound` and
    `virtualOutbound`."""
    port_name: str = ""
    """It selects nothing, which is told: write portNumber."""
    listener_filter: str = ""
    """The listener filter that is meant, with applyTo LISTENER_FILTER.
    Envoy: `name` of an entry of `listener_filters`."""
    filter_chain: FilterChainMatch | None = None
    """The filter chains that are meant; without a word all. Envoy: `filter_chains` and `default_filter_chain`."""


class RouteMatch(Part, frozen=True, kw_only=True):
    """A route of a virtual host."""

    name: str = ""
    """Its name, as a VirtualService gives it. Envoy: the route's `name`."""
    action: str = "ANY"
    """What it does: ROUTE, REDIRECT, DIRECT_RESPONSE, or ANY. Envoy: `route`, `redirect` or `direct_response`."""


class VirtualHostMatch(Part, frozen=True, kw_only=True):
    """A virtual host of a route configuration."""

    name: str = ""
    """Its name, as `reviews.default.svc.cluster.local:9080`. Envoy: the virtual host's `name`."""
    domain_name: str = ""
    """A host that it is for. Envoy: one of its `domains`."""
    route: RouteMatch | None = None
    """The routes that are meant; without a word all."""


class RouteConfigurationMatch(Part, frozen=True, kw_only=True):
    """A route configuration, or a part of it."""

    name: str = ""
    """Its name: `9080` outbound, `inbound|8080||` inbound, `http.8080` at a gateway.
    Envoy: the route configuration's `name`."""
    port_number: int = 0
    """The port in its name, or that of a Service that leads to it."""
    port_name: str = ""
    """At gateways the port's name in a Gateway, of routes behind TLS alone: those of plain HTTP belong to all
    Gateways of the port. Sidecars do not look at it. Envoy: in the name, `https.PORT.PORTNAME.GATEWAY.NAMESPACE`."""
    gateway: str = ""
    """At gateways the Gateway, `NAMESPACE/NAME`, of routes behind TLS alone. Sidecars do not look at it.
    Envoy: as of `portName`."""
    vhost: VirtualHostMatch | None = None
    """The virtual hosts that are meant; without a word all. Envoy: `virtual_hosts`."""


class ClusterMatch(Part, frozen=True, kw_only=True):
    """An upstream, which Envoy calls a cluster."""

    name: str = ""
    """Its name; what else is said here is not looked at then. Envoy: the upstream's `name`."""
    service: str = ""
    """The host of the service, in full.
    Envoy: in the name, `outbound|PORT|SUBSET|HOST`; inbound a service of the workload."""
    port_number: int = 0
    """The port of the service. Envoy: in the name; inbound it may be the workload's own port, too."""
    subset: str = ""
    """The subset of a DestinationRule; without a word all, and the service itself. Nothing inbound has one.
    Envoy: in the name."""


class WaypointRouteMatch(Part, frozen=True, kw_only=True):
    """A route at a waypoint."""

    name: str = ""
    """Its name."""


class WaypointFilterMatch(Part, frozen=True, kw_only=True):
    """A filter at a waypoint."""

    name: str = ""
    """Its name."""
    sub_filter: SubFilterMatch | None = None
    """An HTTP filter within it."""


class WaypointMatch(Part, frozen=True, kw_only=True):
    """What a waypoint proxy has for a port."""

    port_number: int = 0
    """The port."""
    filter: WaypointFilterMatch | None = None
    """A filter for that port."""
    route: WaypointRouteMatch | None = None
    """A route for that port."""


class EnvoyConfigObjectMatch(Part, frozen=True, kw_only=True):
    """Where a patch is applied: which proxies, which side of them, which object."""

    context: str = "ANY"
    """Which side of which proxies: SIDECAR_INBOUND, SIDECAR_OUTBOUND, GATEWAY, or ANY. With WAYPOINT the patch has no
    effect, which is told."""
    proxy: ProxyMatch | None = None
    """What the proxy says of itself."""
    listener: ListenerMatch | None = None
    """Which listener, or what in it, with applyTo LISTENER, LISTENER_FILTER, FILTER_CHAIN, NETWORK_FILTER or
    HTTP_FILTER; without a word all."""
    route_configuration: RouteConfigurationMatch | None = None
    """Which route configuration, or what in it, with applyTo ROUTE_CONFIGURATION, VIRTUAL_HOST or HTTP_ROUTE; without a
    word all."""
    cluster: ClusterMatch | None = None
    """Which upstream, with applyTo CLUSTER; without a word all."""
    waypoint: WaypointMatch | None = None
    """With it the patch has no effect, which is told: there are no waypoints."""


class Patch(Part, frozen=True, kw_only=True):
    """What is done there; `value` in Envoy's own words, names of fields as in its API or in lowerCamelCase."""

    operation: str = ""
    """MERGE lays the value over what is there, MERGE_AND_REPLACE_LIST replaces lists, too; ADD, REMOVE, REPLACE;
    INSERT_FIRST, INSERT_BEFORE and INSERT_AFTER in a list. Which an object allows, the guide on EnvoyFilters lists."""
    value: dict[str, EnvoyValue] | None = None
    """The object, or what is laid over it; none with REMOVE. One that Envoy would refuse is left out, which is told."""
    filter_class: str = "UNSPECIFIED"
    """Where ADD puts an HTTP filter: AUTHN after filters for authentication, AUTHZ after those for authorisation
    as well, STATS before those for statistics; without a word before the router.
    Envoy: the filter's place in `http_filters`."""


class EnvoyConfigObjectPatch(Part, frozen=True, kw_only=True):
    """One patch: to what kind of object, where, and what is done."""

    apply_to: str = ""
    """The kind of object. BOOTSTRAP has no effect, which is told: the agent makes the bootstrap.
    Envoy: the object itself, over LDS, RDS, CDS or ECDS."""
    match: EnvoyConfigObjectMatch = EnvoyConfigObjectMatch()
    """Which objects of that kind; without a word all."""
    patch: Patch | None = None
    """What is done to them; it must be there."""


class EnvoyFilterSpec(Part, frozen=True, kw_only=True):
    """Patches for the selected proxies, in order."""

    workload_selector: WorkloadSelector | None = None
    """For which workloads of its namespace, of all namespaces where that is the root's; without a word for all of them.
    Not beside `targetRefs`."""
    target_refs: tuple[PolicyTargetReference, ...] = ()
    """For the proxies of which Gateways or GatewayClasses of the Gateway API, in place of `workloadSelector`."""
    priority: int = 0
    """The lesser is applied first, also below 0; of equal ones those of the root namespace, then the older, then
    by name."""
    config_patches: tuple[EnvoyConfigObjectPatch, ...] = ()
    """The patches, in this order: each sees what those before it made."""


class EnvoyFilter(Object, frozen=True, kw_only=True):
    """Patches of Envoy's own configuration, applied after everything else."""

    spec: EnvoyFilterSpec
