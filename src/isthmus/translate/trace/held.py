"""The resources that one Envoy holds, by name: as a generation makes them, or as its admin page shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar, cast

import msgspec
from google.protobuf import json_format
from google.protobuf.message import Message

from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import Cluster, ClusterLoadAssignment, LbEndpoint, Listener, RouteConfiguration
from isthmus.model.proxy import Proxy
from isthmus.translate.generation import Generation
from isthmus.translate.types import ENDPOINTS, LISTENER, ROUTES, UPSTREAM

M = TypeVar("M", bound=Message)
Json = Mapping[str, object]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides over the calls of one proxy."""

    listeners: Mapping[str, Listener]
    routes: Mapping[str, RouteConfiguration]
    upstreams: Mapping[str, Cluster]
    assignments: Mapping[str, ClusterLoadAssignment]
    here: str = ""  # the proxy's own locality: region/zone/subzone

    @property
    def clusters(self) -> frozenset[str]:
        """The Kubernetes clusters in which any endpoint is."""
        return frozenset(map(cluster_of, self._endpoints)) - {""}

    @property
    def networks(self) -> frozenset[str]:
        """The networks that any endpoint is on, or is a gateway of."""
        return frozenset(name for one in self._endpoints for name in network_of(one).split(",")) - {""}

    @property
    def _endpoints(self) -> Iterator[LbEndpoint]:
        groups = (group for each in self.assignments.values() for group in each.endpoints)
        return (one for group in groups for one in group.lb_endpoints)

    def without(self, lost: Callable[[LbEndpoint], bool]) -> Held:
        """The same, with all endpoints put aside that are `lost`, as when none of them answers."""
        whole = self.assignments

        def left(name: str) -> ClusterLoadAssignment | None:
            return _without(whole[name], lost) if name in whole else None

        every = partial(_all_without, whole, lost)
        return msgspec.structs.replace(self, assignments=WhenAsked(left, every))


def _all_without(
    assignments: Mapping[str, ClusterLoadAssignment], lost: Callable[[LbEndpoint], bool]
) -> Mapping[str, ClusterLoadAssignment]:
    return {name: _without(each, lost) for name, each in assignments.items()}


def made_for(generation: Generation, proxy: Proxy) -> Held:
    """What `proxy` is sent. Routes, upstreams and endpoints are made when they are asked for, by name."""

    def every(type_url: str, type_: type[M]) -> dict[str, M]:
        return {one.name: type_.FromString(one.body) for one in generation.resources(proxy, type_url, None)}

    def asked(type_url: str, type_: type[M]) -> Mapping[str, M]:
        def named(name: str) -> M | None:
            found = generation.resources(proxy, type_url, frozenset({name}))
            return next((type_.FromString(one.body) for one in found), None)

        return WhenAsked(named, lambda: every(type_url, type_))

    return Held(
        listeners=every(LISTENER, Listener),
        routes=asked(ROUTES, RouteConfiguration),
        upstreams=asked(UPSTREAM, Cluster),
        assignments=asked(ENDPOINTS, ClusterLoadAssignment),
        here="/".join(proxy.locality).rstrip("/"),
    )


class WhenAsked(Mapping[str, M]):
    """Messages by name, each made when it is first asked for."""

    def __init__(self, named: Callable[[str], M | None], every: Callable[[], Mapping[str, M]]) -> None:
        self._named, self._every = named, every
        self._known: dict[str, M | None] = {}

    def __getitem__(self, name: str) -> M:
        if name not in self._known:
            self._known[name] = self._named(name)
        found = self._known[name]
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._every())

    def __len__(self) -> int:
        return len(self._every())


def shown_by(dump: Json) -> Held:
    """What an Envoy says it holds. Source: Envoy's admin interface, `/config_dump?include_eds`."""
    listeners = _entries(dump, "ListenersConfigDump", ("static_listeners", "dynamic_listeners"))
    routes = _entries(dump, "RoutesConfigDump", ("static_route_configs", "dynamic_route_configs"))
    upstreams = _entries(dump, "ClustersConfigDump", ("static_clusters", "dynamic_active_clusters"))
    found = _entries(dump, "EndpointsConfigDump", ("static_endpoint_configs", "dynamic_endpoint_configs"))
    active = (cast(Json, each.get("active_state", each)) for each in listeners)
    return Held(
        listeners=_named(_read(Listener, active, "listener")),
        routes=_named(_read(RouteConfiguration, routes, "route_config")),
        upstreams=_named(_read(Cluster, upstreams, "cluster")),
        assignments={one.cluster_name: one for one in _read(ClusterLoadAssignment, found, "endpoint_config")},
        here=_locality(dump),
    )


def _locality(dump: Json) -> str:
    for section in cast(Iterable[dict[str, dict[str, dict[str, Json]]]], dump.get("configs", ())):
        where = section.get("bootstrap", {}).get("node", {}).get("locality", {})
        if where:
            return "/".join(str(where.get(part, "")) for part in ("region", "zone", "sub_zone")).rstrip("/")
    return ""


def _entries(dump: Json, kind: str, keys: Iterable[str]) -> Iterator[Json]:
    for section in cast(Iterable[Json], dump.get("configs", ())):
        if str(section.get("@type", "")).endswith(f".{kind}"):
            for key in keys:
                yield from cast(Iterable[Json], section.get(key, ()))


def _read(type_: type[M], entries: Iterable[Json], key: str) -> Iterator[M]:
    for entry in entries:
        if key in entry:
            tree = {name: value for name, value in cast(Json, entry[key]).items() if name != "@type"}
            yield json_format.ParseDict(tree, type_(), descriptor_pool=pool(), ignore_unknown_fields=True)


def _named(messages: Iterable[M]) -> dict[str, M]:
    return {str(getattr(one, "name", "")): one for one in messages}


def cluster_of(endpoint: LbEndpoint) -> str:
    """The Kubernetes cluster that an endpoint is in; empty where its metadata does not say."""
    return _who(endpoint)[4]


def workload_of(endpoint: LbEndpoint) -> str:
    """`namespace/name` of the pod behind an endpoint; empty where its metadata does not say."""
    name, namespace, *_ = _who(endpoint)
    return f"{namespace}/{name}" if name else ""


def network_of(endpoint: LbEndpoint) -> str:
    """The networks of which an endpoint is a gateway; empty where it is none."""
    if "istio" not in endpoint.metadata.filter_metadata:
        return ""
    return endpoint.metadata.filter_metadata["istio"].fields["network"].string_value


def address_of(endpoint: LbEndpoint) -> str:
    """Its IP address."""
    return endpoint.endpoint.address.socket_address.address


def _who(endpoint: LbEndpoint) -> list[str]:
    if "istio" not in endpoint.metadata.filter_metadata:
        return [""] * 5
    text = endpoint.metadata.filter_metadata["istio"].fields["workload"].string_value
    return [*text.split(";"), "", "", "", "", ""][:5]


def _without(assignment: ClusterLoadAssignment, lost: Callable[[LbEndpoint], bool]) -> ClusterLoadAssignment:
    left = ClusterLoadAssignment()
    left.CopyFrom(assignment)
    for group in left.endpoints:
        for endpoint in group.lb_endpoints:
            if lost(endpoint):
                endpoint.MergeFrom(LbEndpoint(health_status="UNHEALTHY"))
    return left
