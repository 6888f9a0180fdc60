"""The mesh as it was and as it is, and what is named after its services in either."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from isthmus.api.istio.destination_rule import DestinationRule, TrafficPolicy
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.api.istio.sidecar import Sidecar
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.model.collectors import collector_hosts
from isthmus.model.credential import ABSENT
from isthmus.model.credential_key import CredentialKey
from isthmus.model.credential_uses import of_destination_rule, uses_of
from isthmus.model.key_source import KeySource, sources_of
from isthmus.model.mesh import Mesh
from isthmus.model.names import ClusterId, Hostname, ServiceKey, host_matches, resolve, service_named
from isthmus.model.proxy import ProxyKind
from isthmus.model.service import Protocol, Resolution, Service
from isthmus.model.workload import Workload
from isthmus.translate import names
from isthmus.translate.egress import called
from isthmus.translate.entrances import entrances
from isthmus.translate.gateway_servers import passes_automatically
from isthmus.translate.upstreams import outbound_names

Names = frozenset[str] | None
"""Names of resources that may differ; None: any may."""
NOTHING: frozenset[str] = frozenset()


class ConfigIndex:
    """What must be known of all configuration to say what a step touches."""

    def __init__(self, mesh: Mesh) -> None:
        self.narrows = bool(mesh.of(Sidecar))
        self.collectors = frozenset(collector_hosts(mesh.settings))
        servers = (server for gateway in mesh.of(GatewayConfig) for server in gateway.spec.servers)
        self.lets_in_by_name = any(map(passes_automatically, servers))
        self.let_in = frozenset(
            names.inbound(one.port.number) for each in mesh.of(Sidecar) for one in each.spec.ingress
        )
        # Listeners by address show services, and are not named after them.
        self.by_address = frozenset(
            name
            for each in mesh.of(Sidecar)
            for name in (
                *(one.name for one in called(each)),
                *(one.listener for one in entrances((), each, "") if one.socket),
            )
        )
        rules = mesh.config.get(VirtualService.__name__, {}).values()  # in any order: there may be thousands
        self.routes_connections = any(
            isinstance(each, VirtualService) and (each.spec.tcp or each.spec.tls) for each in rules
        )
        self._subsets: dict[str, set[str]] = defaultdict(set)  # by host or pattern
        self._routed: set[str] = set()
        for rule in mesh.of(DestinationRule):
            host = resolve(rule.spec.host, rule.metadata.namespace, mesh.settings.domain)
            self._subsets[host].update(subset.name for subset in rule.spec.subsets)
            if rule.spec.subsets or _hashes(rule.spec.traffic_policy):
                self._routed.add(host)
        self._wild = [host for host in self._subsets if host.startswith("*")]

    def subsets(self, hostname: Hostname) -> set[str]:
        """The names of subsets that any DestinationRule gives a host."""
        return {name for host in self._written_for(hostname) for name in self._subsets.get(host, ())}

    def shapes_routes(self, hostname: Hostname) -> bool:
        """Whether any DestinationRule for a host says what routes depend on: subsets, or by what calls are spread."""
        return not self._routed.isdisjoint(self._written_for(hostname))

    def _written_for(self, hostname: Hostname) -> Iterator[str]:
        yield hostname
        yield from (pattern for pattern in self._wild if host_matches(pattern, hostname))


class Transition:
    """Two meshes, one after the other. Each answer holds for both together."""

    def __init__(self, meshes: tuple[Mesh, ...], indices: tuple[ConfigIndex, ...]) -> None:
        self.meshes = meshes
        self.roots = {mesh.settings.root_namespace for mesh in meshes}
        self.narrows = any(index.narrows for index in indices)
        self.routes_connections = any(index.routes_connections for index in indices)
        self.lets_in_by_name = any(index.lets_in_by_name for index in indices)
        self.by_address = frozenset().union(*(index.by_address for index in indices))
        self.let_in = frozenset().union(*(index.let_in for index in indices))
        self._indices = indices

    @property
    def inbound_listeners(self) -> frozenset[str]:
        """The listeners at which sidecars take calls in."""
        return self.by_address | {names.VIRTUAL_INBOUND, names.TUNNEL_INBOUND}

    def versions(self, ref: Ref) -> Iterator[Object]:
        """The object as it was and as it is, under whichever type it is kept."""
        for mesh in self.meshes:
            for objects in mesh.config.values():
                if ref in objects:
                    yield objects[ref]

    def workloads(self, where: tuple[ClusterId, str]) -> list[Workload]:
        """The workload at an address, as it was and as it is."""
        return [found for mesh in self.meshes if (found := mesh.workloads.get(where))]

    def services(self, keys: Iterable[ServiceKey]) -> Iterator[Service]:
        """The services as they were and as they are."""
        for key in keys:
            for mesh in self.meshes:
                if service := mesh.services.get(key):
                    yield service

    def keys(self, host: str, namespace: str) -> frozenset[ServiceKey]:
        """The services that `host`, a name or a wildcard, means in an object of a namespace."""
        pattern = resolve(host, namespace, self.meshes[-1].settings.domain)
        return frozenset(
            key
            for mesh in self.meshes
            for key, service in mesh.services.items()
            if any(host_matches(pattern, each.hostname) for each in (key, service.owner))
        )

    def other_roots(self, keys: Iterable[CredentialKey]) -> Iterator[CredentialKey]:
        """Those of the objects that have other certificates of CAs than before."""
        for key in keys:
            before, after = (mesh.credentials.get(key, ABSENT) for mesh in self.meshes)
            if (before.roots, before.revoked) != (after.roots, after.revoked):
                yield key

    def believing(self, roots: Collection[str]) -> frozenset[ServiceKey]:
        """The services for which DestinationRules refer to one of these bundles of CAs."""
        return frozenset(
            key
            for mesh in self.meshes
            for rule in mesh.of(DestinationRule)
            if any(use.name in roots for use in of_destination_rule(rule))
            for key in self.keys(rule.spec.host, rule.metadata.namespace)
        )

    def verifies_callers(self, roots: Collection[str], kind: ProxyKind) -> bool:
        """Whether proxies of that kind believe callers by one of these bundles of CAs."""
        opens = GatewayConfig if kind is ProxyKind.ROUTER else Sidecar
        return any(
            use.name in roots for mesh in self.meshes for each in mesh.of(opens) for use in uses_of(each)
        )

    def with_keys_from(self, sources: Collection[KeySource]) -> Iterator[Ref]:
        """The RequestAuthentications that believe tokens by keys from one of these."""
        for mesh in self.meshes if sources else ():
            for ref, found in mesh.config.get(RequestAuthentication.__name__, {}).items():
                if isinstance(found, RequestAuthentication) and any(
                    each in sources for each in sources_of(found)
                ):
                    yield ref

    def headless(self, keys: Iterable[ServiceKey]) -> frozenset[ServiceKey]:
        """Those that have listeners for their endpoints, by which it is decided on mutual TLS as well."""
        found = self.services(keys)
        return frozenset(each.key for each in found if each.resolution is Resolution.PASSTHROUGH)

    def collectors(self) -> frozenset[str]:
        """The hosts of collectors, and those of which these are other names."""
        hosts = frozenset[str]().union(*(index.collectors for index in self._indices))
        domain = self.meshes[-1].settings.domain
        named = [key for host in hosts if (key := service_named(host, domain))]
        return hosts.union(each.alias_of for each in self.services(named))

    def upstreams(self, keys: Iterable[ServiceKey]) -> frozenset[str]:
        """The upstreams of services, and their endpoints."""
        return frozenset(self._upstreams(keys))

    def shapes_routes(self, keys: Collection[ServiceKey]) -> bool:
        """Whether routes to services depend on which DestinationRule holds for them."""
        sticky = any(each.sticky for each in self.services(keys))
        return sticky or any(
            index.shapes_routes(each.owner.hostname)
            for each in self.services(keys)
            for index in self._indices
        )

    def listeners(self, keys: frozenset[ServiceKey], kind: ProxyKind) -> Names:
        """The listeners that depend on services, or on the rules for them."""
        if not keys:
            return NOTHING
        if self.routes_connections or (kind is ProxyKind.ROUTER and self.lets_in_by_name):
            return None
        return self.own_listeners(keys) | self.by_address

    def own_listeners(self, keys: Iterable[ServiceKey]) -> frozenset[str]:
        """The listeners that are named after services."""
        return frozenset(name for each in self.services(keys) for name in self._listeners(each))

    def inbound(self, keys: Iterable[ServiceKey]) -> frozenset[str]:
        """The upstreams of the applications that serve services, in their own sidecars."""
        shards = (mesh.shards.get(key, {}).values() for mesh in self.meshes for key in keys)
        endpoints = (endpoint for each in shards for shard in each for endpoint in shard.endpoints)
        return frozenset(names.inbound(number) for endpoint in endpoints for _, number in endpoint.ports)

    def _upstreams(self, keys: Iterable[ServiceKey]) -> Iterator[str]:
        for service in self.services(keys):
            subsets = {name for index in self._indices for name in index.subsets(service.owner.hostname)}
            for name in outbound_names(service, sorted(subsets)):
                yield str(name)
                if self.lets_in_by_name:
                    yield name.sni

    def _listeners(self, service: Service) -> Iterator[str]:
        binds = {
            names.ANY,
            *service.given,
            *(address for _, addresses in service.vips for address in addresses),
        }
        if service.resolution is Resolution.PASSTHROUGH:
            for mesh in self.meshes:
                for shard in mesh.shards.get(service.key, {}).values():
                    binds.update(each for endpoint in shard.endpoints for each in endpoint.addresses)
        for port in service.ports:
            if port.protocol is not Protocol.UDP:
                yield from (names.listener(bind, port.number) for bind in binds)
        for number, _ in service.doors:
            yield str(names.outbound_udp(number, service.key.hostname))


def _hashes(policy: TrafficPolicy | None) -> bool:
    """Whether a policy says by what of a request its endpoint is chosen."""
    if policy is None:
        return False
    parts = (policy.load_balancer, *(each.load_balancer for each in policy.port_level_settings))
    return any(part is not None and part.consistent_hash is not None for part in parts)
