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


class PolicyTargetReference(Part, frozen=True, kw_only=True):
    """An object whose proxies are meant."""

    group: str = ""
    """The group of its kind, as `gateway.networking.k8s.io`."""
    kind: str = ""
    """Its kind: Gateway or GatewayClass."""
    name: str = ""
    """Its name."""
    namespace: str = ""
    """Its namespace, which is that of the object that refers to it."""


class ProxyMatch(Part, frozen=True, kw_only=True):
    """What a proxy must say of itself."""

    proxy_version: str = ""  # RE2
    metadata: dict[str, str] = {}


class SubFilterMatch(Part, frozen=True, kw_only=True):
    """An HTTP filter within the connection manager."""

    name: str = ""


class FilterMatch(Part, frozen=True, kw_only=True):
    """A network filter."""

    name: str = ""
    sub_filter: SubFilterMatch | None = None


class FilterChainMatch(Part, frozen=True, kw_only=True):
    """A filter chain of a listener."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""  # with commas between; all must be there
    destination_port: int = 0
    filter: FilterMatch | None = None


class ListenerMatch(Part, frozen=True, kw_only=True):
    """A listener, or a part of it."""

    name: str = ""
    port_number: int = 0
    port_name: str = ""
    listener_filter: str = ""
    filter_chain: FilterChainMatch | None = None


class RouteMatch(Part, frozen=True, kw_only=True):
    """A route of a virtual host."""

    name: str = ""
    action: str = "ANY"


class VirtualHostMatch(Part, frozen=True, kw_only=True):
    """A virtual host of a route configuration."""

    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


class RouteConfigurationMatch(Part, frozen=True, kw_only=True):
    """A route configuration, or a part of it."""

    name: str = ""
    port_number: int = 0
    port_name: str = ""
    gateway: str = ""  # namespace/name
    vhost: VirtualHostMatch | None = None


class ClusterMatch(Part, frozen=True, kw_only=True):
    """An upstream, which Envoy calls a cluster."""

    name: str = ""
    service: str = ""
    port_number: int = 0
    subset: str = ""


class WaypointRouteMatch(Part, frozen=True, kw_only=True):
    """A route at a waypoint."""

    name: str = ""


class WaypointFilterMatch(Part, frozen=True, kw_only=True):
    """A filter at a waypoint."""

    name: str = ""
    sub_filter: SubFilterMatch | None = None


class WaypointMatch(Part, frozen=True, kw_only=True):
    """What a waypoint proxy has for a port."""

    port_number: int = 0
    filter: WaypointFilterMatch | None = None
    route: WaypointRouteMatch | None = None


class EnvoyConfigObjectMatch(Part, frozen=True, kw_only=True):
    """Where a patch is applied: which proxies, which side of them, which object."""

    context: str = "ANY"
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None
    waypoint: WaypointMatch | None = None


class Patch(Part, frozen=True, kw_only=True):
    """What is done there; `value` in Envoy's own words, names of fields as in its API or in lowerCamelCase."""

    operation: str = ""
    value: dict[str, EnvoyValue] | None = None
    filter_class: str = "UNSPECIFIED"


class EnvoyConfigObjectPatch(Part, frozen=True, kw_only=True):
    """One patch: to what kind of object, where, and what is done."""

    apply_to: str = ""
    match: EnvoyConfigObjectMatch = EnvoyConfigObjectMatch()
    patch: Patch | None = None


class EnvoyFilterSpec(Part, frozen=True, kw_only=True):
    """Patches for the selected proxies, in order."""

    workload_selector: WorkloadSelector | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    priority: int = 0
    config_patches: tuple[EnvoyConfigObjectPatch, ...] = ()


class EnvoyFilter(Object, frozen=True, kw_only=True):
    """Patches of Envoy's own configuration, applied after everything else."""

    spec: EnvoyFilterSpec
