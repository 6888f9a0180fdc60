"""Keeps the names of the control plane true in clusters that have none of their own.

A remote cluster has headless Services without selector, labelled `isthmus.io/follows: control-plane`; their
Endpoints are the control plane's pods. Istio wrote them once, at install, and they went stale with the
first restart of Pilot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from isthmus.api.core.service import Service
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.discovery.selection import FOLLOWS
from isthmus.kit.backoff import Backoff
from isthmus.kit.scopes import discovery as log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch
from isthmus.model.endpoint import Health
from isthmus.model.mesh import Mesh
from isthmus.model.names import ClusterId, Hostname, ServiceKey
from isthmus.model.network import Direct, Via
from isthmus.model.network_gateways import USUAL_PORT
from isthmus.model.revision import DEFAULT, suffix

_SERVICES = Kind("", ("v1",), "Service", "services", Service)
_ENDPOINTS = Kind("", ("v1",), "Endpoints", "endpoints", Object)
_MANAGER = "isthmus-pilot"
_WRITE_AGAIN_S = 30.0  # somebody may have installed the cluster once more, with addresses that were true then


class Address(msgspec.Struct, frozen=True, order=True):
    """Where a part of the control plane listens: its pod's address and its ports by name."""

    ip: str
    ports: tuple[tuple[str, int], ...]


ControlPlane = Mapping[str, tuple[Address, ...]]
"""The control plane's Services by name: `{"istio-pilot": (Address(…),)}`."""
Planes = Mapping[ClusterId, ControlPlane]
"""The control plane as it is reached from each cluster."""


class Follower:
    """One remote cluster whose Endpoints of the control plane are kept true."""

    def __init__(
        self,
        client: Client,
        where: tuple[str, ClusterId],
        planes: Watchable[Planes],
        leads: Watchable[bool],
    ) -> None:
        """`where`: the control plane's namespace, and the cluster. Of several Pilots the one that `leads` writes."""
        self._client, (self._namespace, self._cluster) = client, where
        self._planes, self._leads = planes, leads
        self._services: dict[str, Service] = {}
        self._written: dict[str, object] = {}
        self._again = asyncio.Event()

    async def run(self) -> None:
        """Write the Endpoints whenever the control plane moves or a Service for it appears."""
        scope = Scope(self._namespace, labels=f"{FOLLOWS}=control-plane")
        informer = Informer(_SERVICES, Watch(self._client, _SERVICES, scope), self._heard)
        async with asyncio.TaskGroup() as group:
            group.create_task(informer.run())
            group.create_task(self._follow_plane())
            group.create_task(self._follow_lead())
            group.create_task(self._write())

    def _heard(self, ref: Ref, value: Object | InvalidConfig | None) -> None:
        self._services.pop(ref.name, None)
        if isinstance(value, Service):
            self._services[ref.name] = value
        self._written.pop(ref.name, None)
        self._again.set()

    async def _follow_plane(self) -> None:
        async for _ in self._planes.changes():
            self._again.set()

    async def _follow_lead(self) -> None:
        async for _ in self._leads.changes():
            self._written.clear()  # by another, since then
            self._again.set()

    async def _write(self) -> None:
        backoff = Backoff()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_AGAIN_S):
                    await self._again.wait()
            if not self._again.is_set():
                self._written.clear()
            self._again.clear()
            if not self._leads.value:
                continue
            try:
                plane = self._planes.value.get(self._cluster, {})
                for name in sorted(self._services):
                    await self._write_one(name, plane.get(name, ()))
                backoff.reset()
            except KubeError as error:
                log.warning("control plane's endpoints not written", error=str(error))
                await asyncio.sleep(backoff.next_s())
                self._again.set()

    async def _write_one(self, name: str, addresses: tuple[Address, ...]) -> None:
        # No address means that we do not know better than what stands there: it stays.
        wanted = endpoints(name, self._namespace, addresses)
        if addresses and self._written.get(name) != wanted:
            await self._client.apply(_ENDPOINTS, wanted, _MANAGER)
            self._written[name] = wanted
            log.info("control plane's endpoints written", service=name, addresses=[a.ip for a in addresses])


def endpoints(name: str, namespace: str, addresses: tuple[Address, ...]) -> dict[str, object]:
    """The Endpoints object for a part of the control plane, one subset for each set of ports."""
    by_ports: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for address in sorted(addresses):
        by_ports.setdefault(address.ports, []).append(address.ip)
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name, "namespace": namespace, "labels": {FOLLOWS: "control-plane"}},
        "subsets": [
            {
                "addresses": [{"ip": ip} for ip in ips],
                "ports": [{"name": port_name, "port": number} for port_name, number in ports],
            }
            for ports, ips in sorted(by_ports.items())
        ],
    }


def control_planes(
    mesh: Mesh, namespace: str, clusters: Iterable[ClusterId], revision: str = DEFAULT
) -> Planes:
    """The control plane of a revision as each of these clusters reaches it, by both of its names."""
    names = [f"{name}{suffix(revision)}" for name in _PASSED_ON]
    return {
        cluster: {
            name: addresses
            for service in names
            for name, addresses in control_plane(mesh, namespace, cluster, service).items()
        }
        for cluster in clusters
    }


def control_plane(
    mesh: Mesh, namespace: str, cluster: ClusterId, service: str = "istio-pilot"
) -> ControlPlane:
    """The control plane's Services that have healthy endpoints in the configuration cluster, as seen from another.

    Across networks these are the gateways of the control plane's own, which must pass its port for mutual TLS on.
    """
    name = f"{service}.{namespace}.svc.{mesh.settings.domain}"
    shard = mesh.shard(ServiceKey(namespace, Hostname(name)), mesh.settings.config_cluster)
    addresses: dict[Address, None] = {}
    passed_on = next(ports for own, ports in _PASSED_ON.items() if service.startswith(own))
    for endpoint in shard.endpoints:
        if endpoint.health is Health.HEALTHY:
            match mesh.networks.way(mesh.networks.of(cluster), endpoint.network, endpoint.cluster):
                case Direct():
                    addresses.update((Address(each, endpoint.ports), None) for each in endpoint.addresses)
                case Via(gateways):
                    # Those that calls enter at ports of nodes do not say which one is the control plane's.
                    whole = (each.address for each in gateways if each.port == USUAL_PORT)
                    addresses.update((Address(each, passed_on), None) for each in whole)
    return {service: tuple(addresses)} if addresses else {}


_PASSED_ON = {"istio-pilot": (("https-xds", 15012),), "istiod": (("https-dns", 15012),)}
"""By Services of the control plane their port at gateways between networks.

Source: Istio's multi-cluster installation guides.
"""
