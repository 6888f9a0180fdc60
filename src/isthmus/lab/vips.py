"""Which addresses of Services lead to which pods: the service proxy is told whenever that changes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.watch import Following
from isthmus.lab.control_plane import API_PORT
from isthmus.lab.controllers.endpoints import address_type
from isthmus.lab.objects import Objects
from isthmus.lab.service_proxy import ServiceProxy, ServiceVip
from isthmus.lab.spec import ClusterSpec

Json = dict[str, Any]
_SERVICES, _SLICES = builtin("services"), builtin("endpointslices", "discovery.k8s.io")
_SERVICE_NAME = "kubernetes.io/service-name"


class Vips:
    """Keeps the service proxy of a cluster true."""

    def __init__(self, objects: Objects, spec: ClusterSpec, proxy: ServiceProxy) -> None:
        self._objects, self._spec, self._proxy = objects, spec, proxy
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow Services and EndpointSlices until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(_SERVICES))
            group.create_task(self._follow(_SLICES))
            while True:
                self._proxy.set(self._all())
                await self._changed.wait()
                self._changed.clear()

    async def _follow(self, each: Any) -> None:
        async with aclosing(self._objects.watch(Following(each))) as events:
            async for _ in events:
                self._changed.set()

    def _all(self) -> list[ServiceVip]:
        spec = self._spec
        found = [
            ServiceVip(spec.api_service_address, "tcp", 443, ((spec.api_address, API_PORT),)),
            *(ServiceVip(spec.dns_address, each, 53, ((spec.node_address, 53),)) for each in ("tcp", "udp")),
        ]
        slices: dict[tuple[str, str], list[Json]] = defaultdict(list)
        for each in self._objects.list(_SLICES).items:
            name = (each["metadata"].get("labels") or {}).get(_SERVICE_NAME, "")
            slices[each["metadata"]["namespace"], name].append(each)
        for service in self._objects.list(_SERVICES).items:
            address = service["spec"].get("clusterIP")
            if address in {None, "", "None", spec.api_service_address, spec.dns_address}:
                continue
            meta = service["metadata"]
            found += _vips(service, slices.get((meta["namespace"], meta["name"]), []), spec)
        # Services of type LoadBalancer share the node's address: the first that wants a port has it.
        taken = {(spec.node_address, each, 53) for each in ("tcp", "udp")}
        kept = []
        for vip in found:
            key = (vip.address, vip.protocol, vip.port)
            if key not in taken:
                taken.add(key)
                kept.append(vip)
        return kept


def _vips(service: Json, slices: list[Json], spec: ClusterSpec) -> Iterator[ServiceVip]:
    for port in service["spec"].get("ports") or []:
        protocol = port.get("protocol", "TCP").lower()
        if protocol not in {"tcp", "udp"}:
            continue
        backends = {
            version: tuple(
                sorted(
                    (address, each["port"])
                    for slice_ in slices
                    if slice_["addressType"] == version
                    for each in slice_.get("ports") or []
                    if each.get("name", "") == port.get("name", "")
                    for endpoint in slice_.get("endpoints") or []
                    if (endpoint.get("conditions") or {}).get("ready") is not False
                    for address in endpoint["addresses"]
                )
            )
            for version in ("IPv4", "IPv6")
        }
        own = [*(service["spec"].get("clusterIPs") or [service["spec"]["clusterIP"]]), *_external(service)]
        for address in own:
            yield ServiceVip(address, protocol, port["port"], backends[address_type(address)])
        for each in spec.families if port.get("nodePort") else ():
            to = backends[address_type(each.node_address)]
            yield ServiceVip(each.node_address, protocol, port["nodePort"], to)


def _external(service: Json) -> list[str]:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    given = [each["ip"] for each in balancer.get("ingress") or [] if each.get("ip")]
    return [*given, *(service["spec"].get("externalIPs") or [])]
