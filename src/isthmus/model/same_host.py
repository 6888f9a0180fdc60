"""Services of several namespaces that have one host: a proxy is told of one of them."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.model.names import Hostname
from isthmus.model.service import Service


def one_of_each_host(services: Iterable[Service], namespace: str) -> tuple[Service, ...]:
    """`services` without those whose host a better one has: upstreams are named by hosts alone.

    The one of the proxy's own namespace comes first, then that of Kubernetes, then the oldest.
    """
    found: dict[Hostname, Service] = {}
    for service in services:
        host = service.key.hostname
        other = found.get(host)
        if other is None or _rank(service, namespace) < _rank(other, namespace):
            found[host] = service
    return tuple(found.values())


def _rank(service: Service, namespace: str) -> tuple[bool, bool, str, str]:
    key = service.key
    return key.namespace != namespace, bool(service.entry), service.created, key.namespace
