"""Patches of upstreams, which Envoy calls clusters."""

from __future__ import annotations

from isthmus.api.istio.envoy_filter import ClusterMatch
from isthmus.envoy.types import Cluster
from isthmus.translate.names import INBOUND_PASSTHROUGH, Direction, UpstreamName
from isthmus.translate.patch.about import About
from isthmus.translate.patch.compiled import Patch
from isthmus.translate.patch.done import Done
from isthmus.translate.patch.merge import merge


def patch_upstream(upstream: Cluster, patch: Patch, about: About) -> Done:
    """Apply `patch` to an upstream, in place."""
    parts = UpstreamName.parse(upstream.name)
    inbound = upstream.name == INBOUND_PASSTHROUGH or (
        parts is not None and parts.direction is Direction.INBOUND
    )
    if not patch.is_in(about.context(inbound=inbound)):
        return Done.NOTHING
    match = patch.match.cluster
    if match is not None and not _is_selected(upstream, parts, match, about):
        return Done.NOTHING
    if patch.operation == "REMOVE":
        return Done.REMOVED
    if patch.operation == "ADD" or not isinstance(patch.value, Cluster):
        return Done.NOTHING
    _merge(upstream, patch.value, patch)
    return Done.CHANGED


def _is_selected(upstream: Cluster, parts: UpstreamName | None, match: ClusterMatch, about: About) -> bool:
    if match.name:
        return match.name == upstream.name
    if not (match.service or match.port_number or match.subset):
        return True
    if parts is None:
        return False
    if parts.direction is Direction.INBOUND:
        return _is_own(parts.port, match, about)
    return (
        match.service in {"", parts.hostname}
        and match.port_number in {0, parts.port}
        and match.subset in {"", parts.subset}
    )


def _is_own(target_port: int, match: ClusterMatch, about: About) -> bool:
    """Whether a service's port of that description leads to a port of the workload."""
    if match.subset:
        return False
    served = [one for one in about.serves if one.target_port == target_port]
    if match.service:
        served = [one for one in served if one.service.hostname == match.service]
        return any(match.port_number in {0, target_port, one.port.number} for one in served)
    return about.means(match.port_number, target_port)


def _merge(upstream: Cluster, value: Cluster, patch: Patch) -> None:
    """Where the upstream chooses among transport sockets, a value's socket is laid over those of its name."""
    if not value.HasField("transport_socket") or not upstream.transport_socket_matches:
        merge(upstream, value, replace_lists=patch.replaces_lists)
        return
    rest = Cluster()
    rest.CopyFrom(value)
    for each in upstream.transport_socket_matches:
        if each.transport_socket.name == value.transport_socket.name:
            merge(each.transport_socket, value.transport_socket, replace_lists=patch.replaces_lists)
            rest.ClearField("transport_socket")
    merge(upstream, rest, replace_lists=patch.replaces_lists)
