"""A configuration with which Envoy starts by itself: all that a proxy is sent over xDS, written down."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import json_format

from isthmus.envoy.descriptors import pool
from isthmus.envoy.limits import RUNTIME
from isthmus.envoy.types import (
    Bootstrap,
    Cluster,
    ClusterLoadAssignment,
    FilterChain,
    HttpConnectionManager,
    Listener,
    RouteConfiguration,
)
from isthmus.kit.versioned import Versioned
from isthmus.translate import proto

_PEERS = ("xds-grpc", "sds-grpc")
"""Upstreams that a proxy has from its agent: what is delivered at run time still comes from there."""
_HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


def static_bootstrap(found: Mapping[str, Mapping[str, Versioned]], node: str) -> Bootstrap:
    """The bootstrap, with endpoints within their upstreams and routes within their listeners."""
    bootstrap = empty_bootstrap(node)
    assignments = {
        name: ClusterLoadAssignment.FromString(one.body) for name, one in found["endpoints"].items()
    }
    routes = {name: RouteConfiguration.FromString(one.body) for name, one in found["routes"].items()}
    for one in found["upstreams"].values():
        bootstrap.static_resources.clusters.append(_upstream(Cluster.FromString(one.body), assignments))
    for one in found["listeners"].values():
        bootstrap.static_resources.listeners.append(_listener(Listener.FromString(one.body), routes))
    return bootstrap


def empty_bootstrap(node: str) -> Bootstrap:
    """What every proxy has of its agent, and nothing that comes over xDS."""
    return json_format.ParseDict(
        {
            "node": {"id": node, "cluster": node},
            "layered_runtime": {"layers": [{"name": "limits", "static_layer": RUNTIME}]},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [{"envoy_grpc": {"cluster_name": _PEERS[0]}}],
                }
            },
            "static_resources": {"clusters": [_peer(name) for name in _PEERS]},
        },
        Bootstrap(),
        descriptor_pool=pool(),
    )


def as_json(bootstrap: Bootstrap) -> str:
    """The bootstrap as Envoy reads it from a file."""
    return json_format.MessageToJson(bootstrap, preserving_proto_field_name=True, descriptor_pool=pool())


def _peer(name: str) -> dict[str, object]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": _HTTP2,
        "load_assignment": {"cluster_name": name},
    }


def _upstream(upstream: Cluster, assignments: Mapping[str, ClusterLoadAssignment]) -> Cluster:
    if upstream.type == Cluster.EDS:
        name = upstream.eds_cluster_config.service_name or upstream.name
        assignment = assignments.get(name, ClusterLoadAssignment(cluster_name=name))
        upstream.ClearField("eds_cluster_config")
        upstream.type = Cluster.STATIC
        upstream.load_assignment.CopyFrom(assignment)
    return upstream


def _listener(listener: Listener, routes: Mapping[str, RouteConfiguration]) -> Listener:
    for chain in listener.filter_chains:
        _with_routes(chain, routes)
    if listener.HasField("default_filter_chain"):
        _with_routes(listener.default_filter_chain, routes)
    return listener


def _with_routes(chain: FilterChain, routes: Mapping[str, RouteConfiguration]) -> None:
    for one in chain.filters:
        if not one.typed_config.type_url.endswith(".HttpConnectionManager"):
            continue
        manager = HttpConnectionManager.FromString(one.typed_config.value)
        if manager.HasField("rds"):
            name = manager.rds.route_config_name
            manager.route_config.CopyFrom(routes.get(name, RouteConfiguration(name=name)))
            one.typed_config.CopyFrom(proto.any_of(manager))
