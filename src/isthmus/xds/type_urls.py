"""The resource types that the protocol itself treats in ways of their own, and the usual order of pushes."""

from __future__ import annotations

_PREFIX = "type.googleapis.com/"

CLUSTER = f"{_PREFIX}envoy.config.cluster.v3.Cluster"
ENDPOINTS = f"{_PREFIX}envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = f"{_PREFIX}envoy.config.listener.v3.Listener"
ROUTES = f"{_PREFIX}envoy.config.route.v3.RouteConfiguration"
SECRET = f"{_PREFIX}envoy.extensions.transport_sockets.tls.v3.Secret"

PUSH_ORDER = (CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET)
"""Make before break: what is referred to comes before what refers to it."""

ROOTS = frozenset({CLUSTER, LISTENER})
"""Types that nothing else names: a first request without names asks for all, and in the
state-of-the-world dialect a response is complete."""

REFERRED = (CLUSTER, ENDPOINTS)
"""Types whose additions must have arrived before the types behind them are sent, and whose removals
come last."""


def short(type_url: str) -> str:
    """The message's own name: `Cluster`."""
    return type_url.rpartition(".")[2]
