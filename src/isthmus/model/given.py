"""What is given to services that lack it: addresses to be called by, and doors for their datagrams.

An address is given to a ServiceEntry that names none, and to a Service for the clusters that have no such
Service: the address of another cluster may be a different service's here. A door is a port of loopback where
every proxy takes the datagrams that are sent to a service: they do not say where they were meant to go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

import msgspec

from isthmus.api.core.pod import PodSpec
from isthmus.api.resource import Object
from isthmus.model.allocation import Allocation
from isthmus.model.names import ClusterId, Hostname, ServiceKey
from isthmus.model.service import Resolution, Service


class Door(NamedTuple):
    """What a door is for: a port of a service."""

    namespace: str
    hostname: Hostname
    port: int

    @property
    def service(self) -> ServiceKey:
        return ServiceKey(self.namespace, self.hostname)


LABEL = "networking.istio.io/enable-autoallocate-ip"
"""Set to false, an object is given no address."""

# Primes: just fewer than there are addresses in 240.240.0.0/16 and 2001:2::f0f0:0/112, and ports up to 16383.
_ADDRESSES, _DOORS = 65521, 1283
_FIRST_ADDRESSES = IPv4Address("240.240.0.1"), IPv6Address("2001:2::f0f0:1")
_FIRST_DOOR = 15100
ALL_DOORS = range(_FIRST_DOOR, _FIRST_DOOR + _DOORS)
"""The ports that may be doors."""


def takes_address(found: Object) -> bool:
    """Whether the object lets itself be given an address."""
    return found.metadata.labels.get(LABEL, "").lower() != "false"


def doors_bound(spec: PodSpec) -> tuple[int, ...]:
    """The ports that the pod's containers say they take datagrams at, and that may be doors."""
    declared = (port for container in (*spec.containers, *spec.init_containers) for port in container.ports)
    numbers = {port.container_port for port in declared if port.protocol == "UDP"}
    return tuple(sorted(number for number in numbers if number in ALL_DOORS))


class Given:
    """What each service has been given: it follows from all services, and is the same in every Pilot."""

    def __init__(self) -> None:
        self._addresses: Allocation[ServiceKey] = Allocation(_ADDRESSES)
        self._doors: Allocation[Door] = Allocation(_DOORS)
        self._with_doors: dict[ServiceKey, tuple[int, ...]] = {}

    def settle(
        self, services: Mapping[ServiceKey, Service | None], clusters: Collection[ClusterId]
    ) -> frozenset[ServiceKey]:
        """Take services as they are now (None: gone); those to whom something else is given than before."""
        addresses: dict[ServiceKey, str | None] = {}
        doors: dict[Door, str | None] = {}
        for key, service in services.items():
            addresses[key] = service.created if service is not None and _lacks(service, clusters) else None
            doors |= dict.fromkeys(self._known_doors(key))
            ports = tuple(with_doors(service)) if service is not None else ()
            self._with_doors[key] = ports
            if service is not None and ports:
                doors |= {Door(*key, port): service.created for port in ports}
            else:
                del self._with_doors[key]
        moved = {door.service for door in self._doors.settle(doors)}
        return self._addresses.settle(addresses) | moved

    def to(self, service: Service) -> Service:
        """The service with what it is given."""
        key, place = service.key, self._addresses.place(service.key)
        given = () if place is None else tuple(str(first + place) for first in _FIRST_ADDRESSES)
        doors = ((door.port, self._doors.place(door)) for door in self._known_doors(key))
        return msgspec.structs.replace(
            service,
            given=given,
            doors=tuple((port, _FIRST_DOOR + place) for port, place in doors if place is not None),
        )

    def _known_doors(self, key: ServiceKey) -> Iterator[Door]:
        return (Door(*key, port) for port in self._with_doors.get(key, ()))


def _lacks(service: Service, clusters: Collection[ClusterId]) -> bool:
    """Whether some proxy has no address for the service, and could do something with one."""
    if not service.takes_address or service.key.hostname.startswith("*"):
        return False
    if service.entry:
        return not service.vips and (
            service.resolution is Resolution.ENDPOINTS or service.is_resolved_by_proxy
        )
    return service.resolution is Resolution.ENDPOINTS and not {
        cluster for cluster, _ in service.vips
    }.issuperset(clusters)


def with_doors(service: Service) -> Iterator[int]:
    """The ports whose datagrams proxies take: where they were meant to go must be one of certain endpoints."""
    if service.resolution is Resolution.ENDPOINTS or (service.entry and service.is_resolved_by_proxy):
        yield from (port.number for port in service.udp_ports)
