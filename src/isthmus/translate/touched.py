"""Which resources may differ after a step: from the delta, by names, without making any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.model import doors
from isthmus.model.collectors import collector_hosts
from isthmus.model.credential_names import names_of
from isthmus.model.credential_uses import uses_of
from isthmus.model.delta import Delta
from isthmus.model.mesh import Mesh
from isthmus.model.name_table import NAME
from isthmus.model.names import ClusterId, Hostname, ServiceKey, host_matches, resolve, service_named
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.service import Protocol, Resolution, Service
from isthmus.translate import names
from isthmus.translate.concern import concerns
from isthmus.translate.egress import called
from isthmus.translate.entrances import entrances
from isthmus.translate.gateway_servers import passes_automatically
from isthmus.translate.listeners_outbound import ANY
from isthmus.translate.patch.compiled import types_of
from isthmus.translate.types import (
    DOORS,
    ENDPOINTS,
    ENVOY_TYPES,
    EXTENSION,
    LISTENER,
    NAMES,
    ROUTES,
    SECRET,
    TYPES,
    UPSTREAM,
)
from isthmus.translate.upstreams import outbound_names

Names = frozenset[str] | None
"""Names that may differ; None: any may."""

_NOTHING: frozenset[str] = frozenset()


class Touched:
    """What a step touches, told for each type and class of proxies once and asked by every session."""

    def __init__(self, meshes: tuple[Mesh, ...], indices: tuple[ConfigIndex, ...], delta: Delta) -> None:
        self._meshes = meshes  # as it was and as it is
        self._indices = indices
        self._delta = delta
        self._workloads = delta.workloads
        self._roots = {mesh.settings.root_namespace for mesh in meshes}
        self._versions = {ref: tuple(self._versions_of(ref)) for ref in delta.config}
        self._of_services = {type_url: self._names_by_services(type_url) for type_url in TYPES}
        self._found: dict[tuple[ProxyKind, str, str], Names] = {}

    def by(self, proxy: Proxy, type_url: str) -> Names:
        """Names of the type that may differ for `proxy`. It may name too much, never too little."""
        of = (proxy.kind, proxy.namespace, type_url)
        if of not in self._found:
            self._found[of] = self._names(*of)
        found = self._found[of]
        where = (proxy.cluster, proxy.address)
        if where not in self._workloads or found is None:
            return found
        if proxy.kind is ProxyKind.ROUTER:
            # The ports that a gateway opens follow from what its workload serves.
            return None if type_url in {LISTENER, ROUTES} else found
        if type_url == UPSTREAM and any(index.narrows for index in self._indices):
            return None  # a Sidecar may let in ports that no service has
        return found | self._own(where, type_url)

    def _versions_of(self, ref: Ref) -> Iterator[Object]:
        """The object as it was and as it is, under whichever type it is kept."""
        for mesh in self._meshes:
            for objects in mesh.config.values():
                if ref in objects:
                    yield objects[ref]

    def _names(self, kind: ProxyKind, namespace: str, type_url: str) -> Names:
        found = self._of_services.get(type_url, _NOTHING)
        if found is None or type_url not in TYPES:
            return found
        rules: list[DestinationRule] = []
        for ref, versions in self._versions.items():
            if versions and not any(concerns(one, kind, namespace, self._roots) for one in versions):
                continue
            destinations = [one for one in versions if isinstance(one, DestinationRule)]
            if destinations and type_url in _BY_HOST:
                rules += destinations
            elif type_url == SECRET and not any(uses for one in versions for uses in uses_of(one)):
                continue
            elif type_url in self._types_of(ref):
                return None
        if type_url == LISTENER and kind is ProxyKind.ROUTER and self._lets_in_by_name():
            return None if rules or self._delta.services else found
        by_rules = self._names_by_rules(rules, type_url) if rules else _NOTHING
        return None if by_rules is None else found | by_rules

    def _types_of(self, ref: Ref) -> frozenset[str]:
        if ref.kind == "EnvoyFilter":
            filters = (one for one in self._versions[ref] if isinstance(one, EnvoyFilter))
            return frozenset(
                type_url
                for one in filters
                for each in one.spec.config_patches
                for type_url in types_of(each.apply_to)
            )
        if ref.kind != _RULES:
            return _BY_KIND.get(ref.kind, _NOTHING)
        # A Sidecar lets in what the rules lead to, and rules may be about connections, too.
        if any(index.narrows for index in self._indices):
            return frozenset(TYPES)
        about_connections = any(index.routes_connections for index in self._indices)
        return frozenset({ROUTES, LISTENER}) if about_connections else _BY_KIND[_RULES]

    def _lets_in_by_name(self) -> bool:
        """Whether some gateway has a chain for each service that it lets in."""
        return any(index.lets_in_by_name for index in self._indices)

    def _names_by_rules(self, rules: list[DestinationRule], type_url: str) -> Names:
        """What DestinationRules may change: all that is named after the services that they are written for."""
        if type_url == LISTENER and any(index.routes_connections for index in self._indices):
            return None
        domain = self._meshes[-1].settings.domain
        hosts = {resolve(rule.spec.host, rule.metadata.namespace, domain) for rule in rules}
        wild = [host for host in hosts if host.startswith("*")]
        keys = frozenset(
            key
            for mesh in self._meshes
            for key in mesh.services
            if key.hostname in hosts or any(host_matches(host, key.hostname) for host in wild)
        )
        if type_url == LISTENER:
            own = frozenset(name for one in self._services(keys) for name in self._listener_names(one))
            return own | self._by_address()
        return frozenset(self._upstreams(keys))

    def _own(self, where: tuple[ClusterId, str], type_url: str) -> frozenset[str]:
        if type_url == LISTENER:
            own = frozenset({names.VIRTUAL_INBOUND, names.TUNNEL_INBOUND})
            return own | self._by_address() | self._at_doors(where)
        if type_url != UPSTREAM:
            return _NOTHING
        workloads = (mesh.workloads.get(where) for mesh in self._meshes)
        serves = [one for each in workloads if each for one in each.serves]
        let_in = frozenset().union(*(index.let_in for index in self._indices))
        return let_in | frozenset(
            make(one.target_port) for one in serves for make in (names.inbound, names.inbound_udp)
        )

    def _at_doors(self, where: tuple[ClusterId, str]) -> frozenset[str]:
        """The listeners whose doors a pod binds itself, or did."""
        binds = {door for mesh in self._meshes if (one := mesh.workloads.get(where)) for door in one.binds}
        if not binds:
            return _NOTHING
        services = (service for mesh in self._meshes for service in mesh.services.values() if service.doors)
        return frozenset(
            str(names.outbound_udp(number, service.key.hostname))
            for service in services
            for number, door in service.doors
            if door in binds
        )

    def _names_by_services(self, type_url: str) -> Names:
        delta = self._delta
        if delta.everything or type_url in self._of_settings() or self._moves_collectors(type_url):
            return None
        match type_url:
            case _ if delta.networks and type_url in {ENDPOINTS, UPSTREAM, NAMES}:
                return None
            case _ if type_url == ENDPOINTS:
                return frozenset(self._upstreams(delta.services | delta.endpoints))
            case _ if type_url == UPSTREAM:
                return frozenset(self._upstreams(delta.services | self._headless()))
            case _ if type_url == ROUTES:
                # A host's routes may lead to any service, so which hosts follow from it is not told here.
                return None if delta.services else _NOTHING
            case _ if type_url == DOORS:
                return frozenset({doors.NAME}) if delta.services else _NOTHING
            case _ if type_url == NAMES:
                return frozenset({NAME}) if delta.services or self._headless() else _NOTHING
            case _ if type_url == SECRET:
                return frozenset(name for key in delta.credentials for name in names_of(key.ref))
        return self._listeners()

    def _of_settings(self) -> frozenset[str]:
        """The types of resources that a change of the mesh's settings touches."""
        before, after = (mesh.settings for mesh in self._meshes)
        found: set[str] = set()
        for field in before.__struct_fields__ if self._delta.settings else ():
            if getattr(before, field) is not getattr(after, field):
                found |= _BY_SETTING.get(field, frozenset(TYPES))
        return frozenset(found)

    def _moves_collectors(self, type_url: str) -> bool:
        """Whether a collector of logs or traces may be reached in another way than before."""
        if type_url not in {LISTENER, UPSTREAM}:
            return False
        hosts = {key.hostname for key in self._delta.services}
        domain = self._meshes[-1].settings.domain
        collectors = frozenset().union(*(index.collectors for index in self._indices))
        named = [key for host in collectors if (key := service_named(host, domain))]
        return not hosts.isdisjoint({*collectors, *(one.alias_of for one in self._services(named))})

    def _listeners(self) -> Names:
        delta = self._delta
        if delta.services and any(index.routes_connections for index in self._indices):
            return None
        found = {name for service in self._services(delta.services) for name in self._listener_names(service)}
        for service in self._services(self._headless()):
            found.update(self._listener_names(service))
        if delta.services:
            found |= self._by_address()
        return frozenset(found)

    def _by_address(self) -> frozenset[str]:
        return frozenset().union(*(index.by_address for index in self._indices))

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
        binds = {ANY, *service.given, *(address for _, addresses in service.vips for address in addresses)}
        if service.resolution is Resolution.PASSTHROUGH:
            for mesh in self._meshes:
                for shard in mesh.shards.get(service.key, {}).values():
                    binds.update(endpoint.address for endpoint in shard.endpoints)
        for port in service.ports:
            if port.protocol is not Protocol.UDP:
                yield from (names.listener(bind, port.number) for bind in binds)
        for number, _ in service.doors:
            yield str(names.outbound_udp(number, service.key.hostname))

    def _upstreams(self, keys: Iterable[ServiceKey]) -> Iterator[str]:
        for service in self._services(keys):
            subsets = {name for index in self._indices for name in index.subsets(service.key.hostname)}
            for name in outbound_names(service, sorted(subsets)):
                yield str(name)
                if self._lets_in_by_name():
                    yield name.sni


class ConfigIndex:
    """What must be known of all configuration to say what a step touches."""

    def __init__(self, mesh: Mesh) -> None:
        self.narrows = bool(mesh.of(Sidecar))
        self.collectors = frozenset(collector_hosts(mesh.settings))
        servers = (server for gateway in mesh.of(GatewayConfig) for server in gateway.spec.servers)
        self.lets_in_by_name = any(map(passes_automatically, servers))
        # Listeners by address show services, and are not named after them.
        self.let_in = frozenset(
            names.inbound(one.port.number) for each in mesh.of(Sidecar) for one in each.spec.ingress
        )
        self.by_address = frozenset(
            name
            for each in mesh.of(Sidecar)
            for name in (
                *(one.name for one in called(each)),
                *(one.listener for one in entrances((), each, "") if one.socket),
            )
        )
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
    "DestinationRule": frozenset(ENVOY_TYPES),
    "Gateway": frozenset({LISTENER, ROUTES, UPSTREAM, ENDPOINTS, SECRET}),
    "Sidecar": frozenset(TYPES),
    "WasmPlugin": frozenset({UPSTREAM, LISTENER, EXTENSION}),
    "Telemetry": frozenset({UPSTREAM, LISTENER}),
    "ProxyConfig": _NOTHING,  # pods are injected by it
}
"""Which types of resources a kind of configuration may change."""
_BY_SETTING: dict[str, frozenset[str]] = {
    "upstream": frozenset({UPSTREAM, ENDPOINTS}),
    "listener": frozenset({LISTENER, UPSTREAM}),
    "route": frozenset({ROUTES}),
    "unknown": frozenset({UPSTREAM, LISTENER, ROUTES}),
    "exports": _NOTHING,  # the objects and services themselves change
    "written": _NOTHING,  # the parts say what follows from it
}
"""Which types of resources a part of the mesh's settings may change; all where it is not named."""
_BY_HOST = frozenset({UPSTREAM, ENDPOINTS, LISTENER})
"""The types whose names tell the service that a DestinationRule is written for."""
