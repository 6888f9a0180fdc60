"""Which resources may differ after a step: from the delta, by names, without making any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.delta import Delta
from isthmus.model.mesh import Mesh
from isthmus.model.names import ClusterId, Hostname, ServiceKey, host_matches, resolve
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.service import Protocol, Resolution, Service
from isthmus.translate import names
from isthmus.translate.listeners_outbound import ANY
from isthmus.translate.types import ENDPOINTS, LISTENER, ROUTES, TYPES, UPSTREAM
from isthmus.translate.upstreams import outbound_names

Names = frozenset[str] | None
"""Names that may differ; None: any may."""

_NOTHING: frozenset[str] = frozenset()


class Touched:
    """What a step touches, told for each type once and asked by every session."""

    def __init__(self, meshes: tuple[Mesh, ...], indices: tuple[ConfigIndex, ...], delta: Delta) -> None:
        self._meshes = meshes  # as it was and as it is
        self._indices = indices
        self._delta = delta
        self._workloads = delta.workloads
        self._found: dict[str, Names] = {type_url: self._names(type_url) for type_url in TYPES}

    def by(self, proxy: Proxy, type_url: str) -> Names:
        """Names of the type that may differ for `proxy`. It may name too much, never too little."""
        found = self._found.get(type_url, _NOTHING)
        where = (proxy.cluster, proxy.address)
        if where not in self._workloads or found is None:
            return found
        if proxy.kind is ProxyKind.ROUTER:
            # The ports that a gateway opens follow from what its workload serves.
            return None if type_url in {LISTENER, ROUTES} else found
        return found | self._own(where, type_url)

    def _own(self, where: tuple[ClusterId, str], type_url: str) -> frozenset[str]:
        if type_url == LISTENER:
            return frozenset({names.VIRTUAL_INBOUND})
        if type_url != UPSTREAM:
            return _NOTHING
        workloads = (mesh.workloads.get(where) for mesh in self._meshes)
        return frozenset(names.inbound(one.target_port) for each in workloads if each for one in each.serves)

    def _names(self, type_url: str) -> Names:
        delta = self._delta
        if delta.everything or any(type_url in _BY_KIND.get(ref.kind, _NOTHING) for ref in delta.config):
            return None
        match type_url:
            case _ if type_url == ENDPOINTS:
                return frozenset(self._upstreams(delta.services | delta.endpoints))
            case _ if type_url == UPSTREAM:
                return frozenset(self._upstreams(delta.services | self._headless()))
            case _ if type_url == ROUTES:
                # A host's routes may lead to any service, so which hosts follow from it is not told here.
                return None if delta.services else _NOTHING
        return self._listeners()

    def _listeners(self) -> Names:
        delta = self._delta
        if any(index.routes_connections for index in self._indices) and (
            delta.services or any(ref.kind == _RULES for ref in delta.config)
        ):
            return None
        found = {name for service in self._services(delta.services) for name in self._listener_names(service)}
        for service in self._services(self._headless()):
            found.update(self._listener_names(service))
        return frozenset(found)

    def _headless(self) -> frozenset[ServiceKey]:
        """Headless services whose endpoints differ: these have listeners, and decide on mutual TLS."""
        changed = self._services(self._delta.endpoints)
        return frozenset(each.key for each in changed if each.resolution is Resolution.PASSTHROUGH)

    def _services(self, keys: Iterable[ServiceKey]) -> Iterator[Service]:
        """The services as they were and as they are."""
        for key in keys:
            for mesh in self._meshes:
                if service := mesh.services.get(key):
                    yield service

    def _listener_names(self, service: Service) -> Iterator[str]:
        binds = {ANY, *(address for _, addresses in service.vips for address in addresses)}
        if service.resolution is Resolution.PASSTHROUGH:
            for mesh in self._meshes:
                for shard in mesh.shards.get(service.key, {}).values():
                    binds.update(endpoint.address for endpoint in shard.endpoints)
        for port in service.ports:
            if port.protocol is not Protocol.UDP:
                yield from (names.listener(bind, port.number) for bind in binds)

    def _upstreams(self, keys: Iterable[ServiceKey]) -> Iterator[str]:
        for service in self._services(keys):
            subsets = {name for index in self._indices for name in index.subsets(service.key.hostname)}
            yield from map(str, outbound_names(service, sorted(subsets)))


class ConfigIndex:
    """What must be known of all configuration to say what a step touches."""

    def __init__(self, mesh: Mesh) -> None:
        self.routes_connections = any(rule.spec.tcp or rule.spec.tls for rule in mesh.of(VirtualService))
        self._exact: dict[str, set[str]] = defaultdict(set)
        self._wild: list[tuple[str, set[str]]] = []
        for rule in mesh.of(DestinationRule):
            host = resolve(rule.spec.host, rule.metadata.namespace, mesh.settings.domain)
            found = {subset.name for subset in rule.spec.subsets}
            if host.startswith("*"):
                self._wild.append((host, found))
            else:
                self._exact[host] |= found

    def subsets(self, hostname: Hostname) -> set[str]:
        """The names of subsets that any DestinationRule gives a host."""
        found = set(self._exact.get(hostname, ()))
        for pattern, subsets in self._wild:
            if host_matches(pattern, hostname):
                found |= subsets
        return found


_RULES = "VirtualService"
_BY_KIND: dict[str, frozenset[str]] = {
    _RULES: frozenset({ROUTES}),
    "DestinationRule": frozenset(TYPES),
    "Gateway": frozenset({LISTENER, ROUTES}),
    "Sidecar": frozenset(TYPES),
}
"""Which types of resources a kind of configuration may change; VirtualServices about TCP listeners, too."""
