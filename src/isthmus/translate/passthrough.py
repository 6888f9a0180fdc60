"""Gateways between networks: which services they let in, by server name (AUTO_PASSTHROUGH).

A caller of another network has mutual TLS with the endpoint itself; the gateway sees the server name and the
ALPN of the mesh, and nothing else. Source: Istio's Gateway reference, `AUTO_PASSTHROUGH`.
"""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.names import host_matches
from isthmus.model.scope import View
from isthmus.model.service import Resolution, Service
from isthmus.translate.destinations import Known, known
from isthmus.translate.gateway_servers import Opened, passes_automatically
from isthmus.translate.names import UpstreamName
from isthmus.translate.upstreams import outbound_names

_TOLD = frozenset({Resolution.ENDPOINTS, Resolution.PASSTHROUGH})
"""Services of which we tell endpoints; a headless one is called at any of them."""


def lets_in(one: Opened, service: Service) -> bool:
    """Whether the server lets calls to a service pass. What is outside of the mesh has no certificate of ours."""
    if service.is_external or service.node_only or service.resolution not in _TOLD:
        return False
    return any(_meant(pattern, one, service) for pattern in one.server.hosts or ("*",))


def _meant(pattern: str, one: Opened, service: Service) -> bool:
    """Whether `namespace/host` or `host` means the service; `.` is the Gateway's own namespace."""
    namespace, slash, host = pattern.rpartition("/")
    own = one.config.metadata.namespace if namespace == "." else namespace
    return host_matches(host, service.owner.hostname) and (not slash or own in {"*", service.owner.namespace})


def passes(view: View, service: Service) -> bool:
    """Whether gateways of the view let a service in from other networks."""
    return any(lets_in(one, service) for one in _servers(view)) and not known(view, service).is_local


def passing_names(view: View) -> Iterator[tuple[Known, UpstreamName]]:
    """The upstreams behind the server names that are let in, in the order of keys."""
    servers = tuple(_servers(view))
    for service in view.services if servers else ():
        if any(lets_in(one, service) for one in servers):
            here = known(view, service)
            for name in () if here.is_local else names_of(here):
                yield here, name


def _servers(view: View) -> Iterator[Opened]:
    for config in view.gateways:
        for server in config.spec.servers:
            if passes_automatically(server):
                yield Opened(config, server, server.port.number)


def names_of(here: Known) -> Iterator[UpstreamName]:
    """The upstreams of a service and its subsets."""
    subsets = here.rule.spec.subsets if here.rule else ()
    return outbound_names(here.service, (subset.name for subset in subsets))
