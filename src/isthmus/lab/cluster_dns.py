"""The DNS of one cluster: authoritative for `svc.cluster.local`, over UDP and TCP.

Source: Kubernetes' DNS-based service discovery specification.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin

Json = dict[str, Any]
Forward = Callable[[bytes], "asyncio.Future[bytes | None]"]
_SERVICES, _ENDPOINTS = builtin("services"), builtin("endpoints")
_SLICES = builtin("endpointslices", "discovery.k8s.io")
_TTL_S = 5
_UDP_BYTES = 512


class Zone:
    """What the names of one cluster mean, read from its objects as they are at the time of asking."""

    def __init__(self, api: Api, domain: str = "cluster.local") -> None:
        self._api = api
        self._suffix = f".svc.{domain}."
        self._domain = f"{domain}."

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The answer to a query about this zone or about an address; others are refused by NXDOMAIN."""
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if not query.question:
            response.set_rcode(dns.rcode.FORMERR)
            return response
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        records = self._records(name, kind)
        if records is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif records:
            response.answer.append(dns.rrset.from_text(question.name, _TTL_S, "IN", *_typed(records, kind)))
        return response

    def _records(self, name: str, kind: str) -> list[tuple[str, str]] | None:
        """Type and text of each record of `name`; none for other types; None where there is no such name."""
        if name.endswith(".in-addr.arpa."):
            return self._pointers(name)
        if not name.endswith(self._suffix):
            return [] if self._suffix.endswith(f".{name}") or name == self._domain else None
        labels = name.removesuffix(self._suffix).split(".")
        if len(labels) == 1:  # a namespace, which is no name of anything but exists
            return [] if self._api.find(builtin("namespaces"), "", labels[0]) else None
        *front, service_name, namespace = labels
        service = self._api.find(_SERVICES, namespace, service_name)
        if service is None:
            return None
        if service["spec"].get("type") == "ExternalName":
            return [("CNAME", service["spec"]["externalName"].rstrip(".") + ".")] if not front else None
        if not front:
            return [("A", address) for address in self._addresses(service)] if kind in {"A", "ANY"} else []
        if len(front) == 2 and front[0].startswith("_"):
            return self._services(service, front[0][1:], front[1][1:])
        return self._host(service, front[0]) if len(front) == 1 else None

    def _addresses(self, service: Json) -> list[str]:
        if service["spec"].get("clusterIP") != "None":
            return [service["spec"]["clusterIP"]]
        return [address for address, _ in self._ready(service)]

    def _ready(self, service: Json) -> list[tuple[str, str]]:
        """Address and host name of each endpoint of a headless Service that is fit to serve."""
        meta = service["metadata"]
        found = []
        for each in self._api.list(_SLICES, meta["namespace"]).items:
            if (each["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == meta["name"]:
                for endpoint in each.get("endpoints") or []:
                    if (endpoint.get("conditions") or {}).get("ready") is not False:
                        address = endpoint["addresses"][0]
                        found.append((address, endpoint.get("hostname") or address.replace(".", "-")))
        return found

    def _host(self, service: Json, host: str) -> list[tuple[str, str]] | None:
        found = [("A", address) for address, name in self._ready(service) if name == host]
        return found or None

    def _services(self, service: Json, port_name: str, protocol: str) -> list[tuple[str, str]] | None:
        meta = service["metadata"]
        target = f"{meta['name']}.{meta['namespace']}{self._suffix}"
        for port in service["spec"].get("ports") or []:
            if port.get("name") == port_name and port.get("protocol", "TCP").lower() == protocol:
                return [("SRV", f"0 100 {port['port']} {target}")]
        return None

    def _pointers(self, name: str) -> list[tuple[str, str]] | None:
        try:
            address = str(ipaddress.ip_address(".".join(reversed(name.split(".")[:4]))))
        except ValueError:
            return None
        for service in self._api.list(_SERVICES).items:
            if service["spec"].get("clusterIP") == address:
                meta = service["metadata"]
                return [("PTR", f"{meta['name']}.{meta['namespace']}{self._suffix}")]
        return None


def _typed(records: list[tuple[str, str]], kind: str) -> tuple[Any, ...]:
    wanted = [text for each, text in records if each in {kind, "CNAME"}]
    return (records[0][0], *wanted) if wanted else (kind,)


class DnsServer:
    """Answers on sockets that are given: one for UDP, one that listens for TCP."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def answer(self, wire: bytes, *, limit: int | None) -> bytes | None:
        """The answer to a query as bytes; cut, and marked so, to `limit`; None for what is no query."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        response = self._zone.answer(query)
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
