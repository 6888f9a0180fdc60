"""The DNS of one cluster: authoritative for `svc.cluster.local`, over UDP and TCP.

Source: Kubernetes' DNS-based service discovery specification.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.objects import Objects

Json = dict[str, Any]
_NAMESPACES, _SERVICES = builtin("namespaces"), builtin("services")
_SLICES = builtin("endpointslices", "discovery.k8s.io")
_TTL_S = 5
_ADDRESSES = {"A", "AAAA"}
_UDP_BYTES = 512


class Record(NamedTuple):
    """One record: its owner's name, its type, and the rest as text."""

    name: str
    kind: str
    text: str


class Zone:
    """What the names of one cluster mean, read from its objects as they are at the time of asking."""

    def __init__(self, objects: Objects, domain: str = "cluster.local") -> None:
        self._objects = objects
        self._suffix = f".svc.{domain}."
        self._domain = f"{domain}."

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The answer to a query about this zone or about an address; other names are said not to exist."""
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if not query.question:
            response.set_rcode(dns.rcode.FORMERR)
            return response
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        records = self._records(name)
        if records is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response
        for record in records:
            if record.kind in {kind, "CNAME"} or kind == "ANY":
                _add(response, record, question.name if record.name == name else None)
            elif records[0].kind == "CNAME" and record.kind == kind in _ADDRESSES:
                _add(response, record, None)
        return response

    def _records(self, name: str, *, follows: bool = True) -> list[Record] | None:
        """All that is known of `name`, which may be nothing; None where there is no such name."""
        if name.endswith((".in-addr.arpa.", ".ip6.arpa.")):
            return self._pointers(name)
        if not name.endswith(self._suffix):
            return [] if self._suffix.endswith(f".{name}") or name == self._domain else None
        labels = name.removesuffix(self._suffix).split(".")
        if len(labels) == 1:  # a namespace, which is no name of anything but exists
            return [] if self._objects.find(_NAMESPACES, "", labels[0]) else None
        *front, service_name, namespace = labels
        service = self._objects.find(_SERVICES, namespace, service_name)
        if service is None:
            return None
        if service["spec"].get("type") == "ExternalName":
            return self._alias(name, service, follows=follows) if not front else None
        if not front:
            return [_of_address(name, address) for address in self._addresses(service)]
        if len(front) == 1 and front[0].startswith("_"):
            protocols = {each.get("protocol", "TCP").lower() for each in service["spec"].get("ports") or []}
            return [] if front[0][1:] in protocols else None
        if len(front) == 2 and front[0].startswith("_") and front[1].startswith("_"):
            return self._services(name, service, (front[0][1:], front[1][1:]))
        return self._host(name, service, front[0]) if len(front) == 1 else None

    def _alias(self, name: str, service: Json, *, follows: bool) -> list[Record]:
        """The other name, and what is known of it here: those who ask do not ask again."""
        target = service["spec"]["externalName"].lower().rstrip(".") + "."
        known = self._records(target, follows=False) if follows and target.endswith(self._suffix) else None
        return [Record(name, "CNAME", target), *(each for each in known or [] if each.kind in _ADDRESSES)]

    def _addresses(self, service: Json) -> list[str]:
        if service["spec"].get("clusterIP") != "None":
            return list(service["spec"].get("clusterIPs") or [service["spec"]["clusterIP"]])
        return list(dict.fromkeys(address for address, _, _ in self._ready(service)))

    def _ready(self, service: Json) -> list[tuple[str, str, list[Json]]]:
        """Address, host name and ports of each endpoint of a headless Service that is fit to serve."""
        meta = service["metadata"]
        return [
            (address, endpoint.get("hostname") or _as_label(address), each.get("ports") or [])
            for each in self._objects.list(_SLICES, meta["namespace"]).items
            if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == meta["name"]
            for endpoint in each.get("endpoints") or []
            if (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint["addresses"][:1]
        ]

    def _host(self, name: str, service: Json, host: str) -> list[Record] | None:
        if service["spec"].get("clusterIP") != "None":
            return None
        return [
            _of_address(name, address) for address, each, _ in self._ready(service) if each == host
        ] or None

    def _services(self, name: str, service: Json, wanted: tuple[str, str]) -> list[Record] | None:
        """Where a named port is: at the Service's own name, or at each endpoint of a headless one."""
        meta, is_headless = service["metadata"], service["spec"].get("clusterIP") == "None"
        target = f"{meta['name']}.{meta['namespace']}{self._suffix}"
        for port in service["spec"].get("ports") or []:
            if (port.get("name"), port.get("protocol", "TCP").lower()) != wanted:
                continue
            if not is_headless:
                return [Record(name, "SRV", f"0 100 {port['port']} {target}")]
            return [
                Record(name, "SRV", f"0 100 {each['port']} {host}.{target}")
                for _, host, ports in self._ready(service)
                for each in ports
                if each.get("name") == wanted[0]
            ]
        return None

    def _pointers(self, name: str) -> list[Record] | None:
        try:
            address = dns.reversename.to_address(dns.name.from_text(name))
        except dns.exception.DNSException:
            return None
        for service in self._objects.list(_SERVICES).items:
            if address in (service["spec"].get("clusterIPs") or [service["spec"].get("clusterIP")]):
                meta = service["metadata"]
                return [Record(name, "PTR", f"{meta['name']}.{meta['namespace']}{self._suffix}")]
        return None


def _of_address(name: str, address: str) -> Record:
    return Record(name, "AAAA" if ":" in address else "A", address)


def _as_label(address: str) -> str:
    """Under which a pod of a headless Service is known that has no name of its own."""
    return address.replace(".", "-").replace(":", "-")


def _add(response: dns.message.Message, record: Record, asked: dns.name.Name | None) -> None:
    """Put the record into the answer, with the name as it was `asked` for, in its case."""
    owner = asked or dns.name.from_text(record.name)
    kind = dns.rdatatype.from_text(record.kind)
    found = response.find_rrset(response.answer, owner, dns.rdataclass.IN, kind, create=True)
    for each in dns.rrset.from_text(owner, _TTL_S, "IN", record.kind, record.text):
        found.add(each, _TTL_S)


class DnsServer:
    """Answers on sockets that are given: one for UDP, one that listens for TCP."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def answer(self, wire: bytes, *, limit: int | None) -> bytes | None:
        """The answer to a query as bytes; cut, and marked so, to `limit`; None for what is no query."""
        try:
            query = dns.message.from_wire(wire)
            response = self._zone.answer(query)
        except dns.exception.DNSException:
            return None
        size = max(limit, query.payload) if limit is not None else 65535
        try:
            return response.to_wire(max_size=size)
        except dns.exception.TooBig:
            cut = dns.message.make_response(query)
            cut.flags |= dns.flags.TC
            return cut.to_wire()

    def datagrams(self) -> asyncio.DatagramProtocol:
        """The UDP side, for `create_datagram_endpoint`."""
        return _Datagrams(self)

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The TCP side, for `asyncio.start_server`."""
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2))
                answer = self.answer(await reader.readexactly(length), limit=None)
                if answer is None:
                    return
                writer.write(len(answer).to_bytes(2) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is no subclass of asyncio's, though it does the same.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        answer = self._server.answer(data, limit=_UDP_BYTES)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)
