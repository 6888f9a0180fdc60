"""ServiceEntries: that their connections can be told apart, and their addresses are nobody else's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from isthmus.api.istio.service_entry import EntryPort, ServiceEntry
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.protocol import protocol_named
from isthmus.model.service import Protocol, Service

_TOLD_BY_BYTES = frozenset({Protocol.HTTPS, Protocol.TLS, Protocol.UDP})


def have_addresses(subject: Subject) -> Iterator[Finding]:
    """Each ServiceEntry has addresses where only these tell its connections from others."""
    for found in subject.of(ServiceEntry):
        if found.spec.addresses or found.spec.resolution == "NONE":
            continue
        for index, port in enumerate(found.spec.ports):
            if _is_plain(port):
                message = (
                    f"port {port.number} is for plain connections, and without addresses all connections to "
                    "that port go here (hint: addresses, or a protocol that says the host: HTTP, TLS)"
                )
                yield finding(found, f"$.spec.ports[{index}]", message, Code.ADDRESS_REQUIRED)


def ranges_are_free(subject: Subject) -> Iterator[Finding]:
    """No range of a ServiceEntry holds addresses of Kubernetes' Services."""
    taken = sorted(_addresses(subject))
    keys = [key for key, _ in taken]
    for found in subject.of(ServiceEntry):
        for index, text in enumerate(found.spec.addresses):
            network = _network(text)
            if network is None or network.num_addresses == 1:
                continue
            first = bisect_left(keys, (network.version, int(network.network_address)))
            last = bisect_right(keys, (network.version, int(network.broadcast_address)))
            if first < last:
                service = taken[first][1]
                others = f" and of {last - first - 1} others" if last - first > 1 else ""
                message = (
                    f"{text} holds the address of {service}{others} (hint: a range outside the cluster's own)"
                )
                yield finding(found, f"$.spec.addresses[{index}]", message, Code.RANGES_OVERLAP)


def _is_plain(port: EntryPort) -> bool:
    protocol = protocol_named(port.protocol, port.number)
    return not protocol.is_http and protocol not in _TOLD_BY_BYTES


def _addresses(subject: Subject) -> Iterator[tuple[tuple[int, int], str]]:
    services: list[Service] = [each for each in subject.mesh.services.values() if not each.entry]
    for service in services:
        for _, addresses in service.vips:
            for text in addresses:
                try:
                    address = ip_address(text)
                except ValueError:
                    continue
                yield (address.version, int(address)), service.key.hostname


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        return None
