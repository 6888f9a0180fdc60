"""One cluster of the lab: control plane, kubelet, DNS and network, joined."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from isthmus.kit.clock import Clock
from isthmus.kit.ip import authority
from isthmus.kit.tasks import Crew
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.catalogue import Catalogue
from isthmus.lab.cluster_dns import DnsServer, Zone
from isthmus.lab.control_plane import API_PORT, ControlPlane, Site
from isthmus.lab.embedded import Embedded
from isthmus.lab.fabric import Fabric, FabricFamily, FabricSpec
from isthmus.lab.furniture import furniture
from isthmus.lab.kubelet.kubelet import Kubelet
from isthmus.lab.kubelet.node import Node
from isthmus.lab.objects import Objects
from isthmus.lab.sandbox import Sandboxes
from isthmus.lab.service_proxy import ServiceProxy
from isthmus.lab.sockets import bind_udp, start_server
from isthmus.lab.spec import ApiServerKind, ClusterSpec
from isthmus.lab.stock.plane import Stock
from isthmus.lab.vips import Vips

Json = dict[str, Any]
_PLANES: dict[ApiServerKind, type[Embedded] | type[Stock]] = {"embedded": Embedded, "kube": Stock}


class Cluster:
    """A Kubernetes cluster in network namespaces. `door` is the host's socket for its API server, if any."""

    def __init__(self, spec: ClusterSpec, folder: Path, catalogue: Catalogue, clock: Clock) -> None:
        self.spec = spec
        self._folder, self._catalogue, self._clock = folder, catalogue, clock
        families = (
            FabricFamily(each.pod_cidr, each.service_cidr, each.node_address, each.api_address)
            for each in spec.families
        )
        self.fabric = Fabric(FabricSpec(spec.name, tuple(families)))
        addresses = (*(each.api_address for each in spec.families), spec.api_service_address, "127.0.0.1")
        self.credentials = ClusterCredentials(spec.name, addresses, clock.now())
        self.plane: ControlPlane | None = None
        self.kubelet: Kubelet | None = None
        self._crew = Crew()

    async def start(self, sandboxes: Sandboxes, door: socket.socket | None) -> None:
        """Bring everything up; returns when the API server answers and its own objects are there."""
        await self.fabric.start()
        site = Site(self.spec, self.credentials, self.fabric.router, self._folder, self._clock, door)
        plane = self.plane = _PLANES[self.spec.api_server](site)
        await plane.start(furniture(self.spec))
        node = Node(
            self.spec,
            plane.objects,
            plane,
            self.fabric,
            sandboxes,
            self._catalogue,
            self._folder / "pods",
        )
        self.kubelet = Kubelet(node)
        proxy = ServiceProxy(self.fabric.router, tuple(each.service_cidr for each in self.spec.families))
        jobs = {
            **plane.attend(self.kubelet),
            "proxy": proxy.run(),
            "vips": Vips(plane.objects, self.spec, proxy).run(),
            "kubelet": self.kubelet.run(),
            "dns": self._serve_dns(plane.objects),
        }
        for name, job in jobs.items():
            self._crew.start(name, job)

    async def stop(self) -> None:
        """End everything: pods first, then the rest."""
        await self._crew.stop("kubelet")
        await self._crew.stop_all()
        if self.plane is not None:
            await self.plane.stop()
        await self.fabric.stop()

    def kubeconfig(self, server: str) -> Json:
        """The administrator's kubeconfig for the API server at `server`."""
        return self.credentials.kubeconfig(server)

    @property
    def server_inside(self) -> str:
        """The API server's address as pods of all clusters reach it."""
        return f"https://{authority(self.spec.api_address, API_PORT)}"

    async def _serve_dns(self, objects: Objects) -> None:
        dns = DnsServer(Zone(objects))
        router, address = self.fabric.router, self.spec.node_address
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(dns.datagrams, sock=bind_udp(router, address, 53))
        listener = await start_server(router, address, 53, dns.stream)
        try:
            await listener.serve_forever()
        finally:
            transport.close()
