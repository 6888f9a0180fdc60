"""A bootstrap that holds resources as if they had come over xDS, for `envoy --mode validate`."""

from __future__ import annotations

import json

from google.protobuf import json_format

from isthmus.console.static_bootstrap import empty_bootstrap
from isthmus.envoy.binary import envoy_executable, validate
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import (
    Cluster,
    ClusterLoadAssignment,
    HttpConnectionManager,
    Listener,
    RouteConfiguration,
    Router,
)
from isthmus.translate import proto
from isthmus.translate.types import ENDPOINTS, LISTENER, ROUTES, UPSTREAM


def static_bootstrap(resources):
    """Endpoints become upstreams of their own, routes listeners of their own: only then Envoy reads them."""
    bootstrap = empty_bootstrap("golden")
    static = bootstrap.static_resources
    for one in resources[UPSTREAM]:
        static.clusters.append(Cluster.FromString(one.body))
    for index, one in enumerate(resources[ENDPOINTS]):
        own = static.clusters.add(name=f"endpoints {index}", type="STATIC")
        own.load_assignment.CopyFrom(ClusterLoadAssignment.FromString(one.body))
    for one in resources[LISTENER]:
        static.listeners.append(Listener.FromString(one.body))
    for index, one in enumerate(resources[ROUTES]):
        static.listeners.append(_listener(f"routes {index}", RouteConfiguration.FromString(one.body), index))
    return bootstrap


def must_take(resources):
    """Raises `RefusedByEnvoy` where Envoy itself does not take `resources`."""
    validate(
        envoy_executable(), json_format.MessageToJson(static_bootstrap(resources), descriptor_pool=pool())
    )


def _listener(name, routes, index):
    manager = HttpConnectionManager(stat_prefix=name, route_config=routes)
    manager.http_filters.add(name="envoy.filters.http.router").typed_config.CopyFrom(proto.any_of(Router()))
    listener = Listener(name=name, address=proto.address("127.9.9.9", 10_000 + index))
    connection = listener.filter_chains.add().filters.add(
        name="envoy.filters.network.http_connection_manager"
    )
    connection.typed_config.CopyFrom(proto.any_of(manager))
    return listener


def bootstrap_with_cel(*expressions):
    """A bootstrap, as JSON, with a log for each expression that filters by it."""
    kind = "type.googleapis.com/envoy.extensions"
    logs = [
        {
            "name": "log",
            "filter": {
                "extension_filter": {
                    "name": "cel",
                    "typed_config": {
                        "@type": f"{kind}.access_loggers.filters.cel.v3.ExpressionFilter",
                        "expression": each,
                    },
                }
            },
            "typed_config": {"@type": f"{kind}.access_loggers.file.v3.FileAccessLog", "path": "/dev/null"},
        }
        for each in expressions
    ]
    proxy = {
        "@type": f"{kind}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "a",
        "cluster": "b",
        "access_log": logs,
    }
    listener = {
        "name": "a",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19999}},
        "filter_chains": [{"filters": [{"name": "tcp", "typed_config": proxy}]}],
    }
    upstream = {"name": "b", "type": "STATIC", "connect_timeout": "1s"}
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [upstream]}})
