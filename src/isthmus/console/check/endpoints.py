"""Whether somebody answers for a Service."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.console.check.cluster import Cluster, labels

_SERVICE = "kubernetes.io/service-name"


def ready_addresses(cluster: Cluster, namespace: str, service: str) -> Iterator[str]:
    """Addresses of the endpoints of a Service that are ready."""
    for piece in cluster.all("endpointslices", namespace):
        if labels(piece).get(_SERVICE) == service:
            for endpoint in piece.get("endpoints") or ():
                if endpoint.get("conditions", {}).get("ready", True):
                    yield from map(str, endpoint.get("addresses") or ())


def has_pieces(cluster: Cluster, namespace: str, service: str) -> bool:
    """Whether anybody says who answers for the Service, ready or not."""
    return any(labels(piece).get(_SERVICE) == service for piece in cluster.all("endpointslices", namespace))


def is_ready(cluster: Cluster, namespace: str, service: str) -> bool:
    """Whether there is one."""
    return any(True for _ in ready_addresses(cluster, namespace, service))
