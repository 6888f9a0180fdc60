"""Which addresses of Services lead to which pods: the service proxy is told whenever that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.watch import Following
from isthmus.lab.service_proxy import ServiceProxy, ServiceVip
from isthmus.lab.spec import ClusterSpec

Json = dict[str, Any]
_SERVICES, _ENDPOINTS = builtin("services"), builtin("endpoints")
API_PORT = 6443


class Vips:
    """Keeps the service proxy of a cluster true."""

    def __init__(self, api: Api, spec: ClusterSpec, proxy: ServiceProxy) -> None:
        self._api, self._spec, self._proxy = api, spec, proxy
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow Services and Endpoints until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(_SERVICES))
            group.create_task(self._follow(_ENDPOINTS))
            while True:
                self._proxy.set(self._all())
                await self._changed.wait()
                self._changed.clear()

    async def _follow(self, each: Any) -> None:
        async with aclosing(self._api.watch(Following(each))) as events:
            async for _ in events:
                self._changed.set()

    def _all(self) -> list[ServiceVip]:
        spec = self._spec
        found = [
            ServiceVip(spec.api_service_address, "tcp", 443, ((spec.api_address, API_PORT),)),
            *(ServiceVip(spec.dns_address, each, 53, ((spec.node_address, 53),)) for each in ("tcp", "udp")),
        ]
        for service in self._api.list(_SERVICES).items:
            address = service["spec"].get("clusterIP")
            if address in {None, "", "None", spec.api_service_address, spec.dns_address}:
                continue
            meta = service["metadata"]
            endpoints = self._api.find(_ENDPOINTS, meta["namespace"], meta["name"])
            found += _vips(service, endpoints or {}, spec)
        # Services of type LoadBalancer share the node's address: the first that wants a port has it.
        taken = {(spec.node_address, each, 53) for each in ("tcp", "udp")}
        kept = []
        for each in found:
            key = (each.address, each.protocol, each.port)
            if key not in taken:
                taken.add(key)
                kept.append(each)
        return kept


def _vips(service: Json, endpoints: Json, spec: ClusterSpec) -> Iterator[ServiceVip]:
    for port in service["spec"].get("ports") or []:
        protocol = port.get("protocol", "TCP").lower()
        if protocol not in {"tcp", "udp"}:
            continue
        backends = tuple(
            sorted(
                (address["ip"], each["port"])
                for subset in endpoints.get("subsets") or []
                for each in subset.get("ports") or []
                if each.get("name", "") == port.get("name", "")
                for address in subset.get("addresses") or []
            )
        )
        for address in (service["spec"]["clusterIP"], *_external(service)):
            yield ServiceVip(address, protocol, port["port"], backends)
        if port.get("nodePort"):
            yield ServiceVip(spec.node_address, protocol, port["nodePort"], backends)


def _external(service: Json) -> list[str]:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    given = [each["ip"] for each in balancer.get("ingress") or [] if each.get("ip")]
    return [*given, *(service["spec"].get("externalIPs") or [])]
