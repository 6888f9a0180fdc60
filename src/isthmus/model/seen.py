"""The services that proxies see, looked up once. Views from namespaces that see the same share it.

Compared by identity: what is made from it alone is made once for all of them (ADR 0021).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from isthmus.model.names import Hostname, ServiceKey
from isthmus.model.same_host import one_of_each_host
from isthmus.model.service import Port, Protocol, Resolution, Service
from isthmus.model.sidecars import Horizon
from isthmus.model.visibility import EVERYWHERE, is_visible


class Shown:
    """Services that a Sidecar shows."""

    def __init__(self, services: tuple[Service, ...]) -> None:
        self.services = services
        self.keys = frozenset(each.key for each in services)


class Catalog:
    """All services of a mesh in the order of their keys, and what of them not everybody sees."""

    def __init__(self, services: Mapping[ServiceKey, Service]) -> None:
        self.services = tuple(services[key] for key in sorted(services))
        self.aliases = tuple(each for each in self.services if each.alias_of)
        self.pods = tuple(each for each in self.services if each.pod_of)
        self._limited = tuple(
            each for each in self.services if each.export_to and EVERYWHERE not in each.export_to
        )
        by_host: dict[Hostname, list[Service]] = defaultdict(list)
        for each in self.services:
            by_host[each.key.hostname].append(each)
        self._contested = tuple(found for found in by_host.values() if len(found) > 1)

    def hidden(self, namespace: str, uncalled: frozenset[ServiceKey]) -> frozenset[ServiceKey]:
        """Those that a namespace does not see, with `uncalled`: not shown there, or a better one has their host."""
        unseen = uncalled | {each.key for each in self._limited if not _is_shown(each, namespace)}
        for several in self._contested:
            shown = [each for each in several if each.key not in unseen]
            unseen |= {each.key for each in shown} - {each.key for each in one_of_each_host(shown, namespace)}
        return unseen

    def without(self, hidden: frozenset[ServiceKey]) -> Iterator[Service]:
        return (each for each in self.services if each.key not in hidden)

    def within(self, horizon: Horizon, led_to: frozenset[Hostname], uncalled: frozenset[ServiceKey]) -> Shown:
        """The services that a Sidecar shows, and those to which rules may lead that it shows, but for `uncalled`."""
        meant = led_to.union(
            each.alias_of for each in self.aliases if each.key.hostname in led_to or horizon.sees(*each.key)
        )
        shown = (
            each
            for each in self.services
            if each.key not in uncalled and (each.key.hostname in meant or horizon.sees(*each.owner))
        )
        seen = (each for each in shown if _is_shown(each, horizon.namespace))
        return Shown(one_of_each_host(seen, horizon.namespace))


def _is_shown(service: Service, namespace: str) -> bool:
    return is_visible(service.export_to, service.key.namespace, namespace)


class Row:
    """Services, each at a port of it, in an order that all who see the same services share."""

    def __init__(self, each: Iterable[tuple[Service, int]]) -> None:
        self.each = tuple(each)

    @cached_property
    def places(self) -> Mapping[ServiceKey, tuple[int, ...]]:
        """Where in the row a service stands."""
        found: dict[ServiceKey, tuple[int, ...]] = {}
        for place, (service, _) in enumerate(self.each):
            found[service.key] = (*found.get(service.key, ()), place)
        return found


class Seen:
    """Services by host and by port."""

    def __init__(self, services: Iterable[Service], horizon: Horizon) -> None:
        found = tuple(services)
        self.services = tuple(each for each in found if not each.alias_of)
        self.aliases = tuple(each for each in found if each.alias_of)  # other names of these
        self.pods = tuple(each for each in self.services if each.pod_of)
        self.by_host = {each.key.hostname: each for each in self.services}
        self.standing_for = {each.key.hostname: each.alias_of for each in self.aliases}
        self._horizon = horizon
        self._requests: dict[int, Row] = {}
        self._connections: dict[int, tuple[tuple[Service, Port], ...]] = {}

    def meant(self, host: Hostname) -> Service | None:
        """The service that has this full host, or of which it is another name."""
        return self.by_host.get(self.standing_for.get(host, host))

    @cached_property
    def other_names(self) -> Mapping[Hostname, tuple[ServiceKey, ...]]:
        """By the hosts of services the other names that they have."""
        found: dict[Hostname, list[ServiceKey]] = defaultdict(list)
        for each in self.aliases:
            found[each.alias_of].append(each.key)
        return {host: tuple(keys) for host, keys in found.items()}

    def of(self, namespace: str) -> frozenset[ServiceKey]:
        """The services of a namespace."""
        return self._by_namespace.get(namespace, frozenset())

    def on(self, port: int) -> tuple[tuple[Service, Port], ...]:
        """The services with this port, but for UDP, in the order of their keys."""
        return self._by_port.get(port, ())

    @cached_property
    def ports(self) -> tuple[int, ...]:
        """All ports that any service has, but for UDP, sorted."""
        return tuple(sorted(self._by_port))

    def requests(self, port: int) -> Row:
        """The services whose requests on that port are routed one by one."""
        if port not in self._requests:
            self._requests[port] = Row(
                (service, port) for service, own in self.on(port) if own.protocol.is_http
            )
        return self._requests[port]

    def connections(self, port: int) -> tuple[tuple[Service, Port], ...]:
        """The services that get whole connections to that port, or requests where these are found in them."""
        if port not in self._connections:
            self._connections[port] = tuple(each for each in self.on(port) if not each[1].protocol.is_http)
        return self._connections[port]

    @cached_property
    def headless(self) -> tuple[ServiceKey, ...]:
        """The services that are called by the addresses of their endpoints."""
        return tuple(each.key for each in self.services if each.resolution is Resolution.PASSTHROUGH)

    @cached_property
    def everything(self) -> Row:
        """All services, at no port."""
        return Row((each, 0) for each in self.services)

    @cached_property
    def at_ports(self) -> Row:
        """All services at each of their ports, port by port."""
        return Row((service, port) for port in self.ports for service, _ in self.on(port))

    @cached_property
    def asks_node(self) -> bool:
        """Whether some service's endpoints depend on the node from which it is called."""
        return any(each.node_only or each.distribution == "prefersamenode" for each in self.services)

    @cached_property
    def datagrams(self) -> tuple[tuple[Service, Port, int], ...]:
        """The ports for datagrams, each with its door on loopback."""
        return tuple(
            (service, port, door)
            for service in self.services
            for number, door in service.doors
            if (port := service.udp_port(number)) is not None and self._shows(service, number)
        )

    def _shows(self, service: Service, port: int) -> bool:
        shown = self._horizon.ports(service.owner)
        return shown is None or port in shown

    @cached_property
    def _by_namespace(self) -> Mapping[str, frozenset[ServiceKey]]:
        found: dict[str, set[ServiceKey]] = defaultdict(set)
        for each in self.services:
            found[each.key.namespace].add(each.key)
        return {namespace: frozenset(keys) for namespace, keys in found.items()}

    @cached_property
    def _by_port(self) -> Mapping[int, tuple[tuple[Service, Port], ...]]:
        found: dict[int, dict[ServiceKey, tuple[Service, Port]]] = defaultdict(dict)
        for service in self.services:
            shown = self._horizon.ports(service.owner)
            for port in service.ports:
                if port.protocol is not Protocol.UDP and (shown is None or port.number in shown):
                    found[port.number].setdefault(service.key, (service, port))
        return {number: tuple(services.values()) for number, services in found.items()}
