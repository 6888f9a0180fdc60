"""One cluster of the lab: API server, controllers, kubelet, DNS and network, joined."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from isthmus.kit.clock import Clock
from isthmus.kit.ip import authority
from isthmus.kit.tasks import Crew
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.served import Address, ApiServer
from isthmus.lab.catalogue import Catalogue
from isthmus.lab.cluster_dns import DnsServer, Zone
from isthmus.lab.controllers import UNATTENDED
from isthmus.lab.controllers.accounts import Accounts
from isthmus.lab.controllers.deployments import Deployments
from isthmus.lab.controllers.endpoints import EndpointsController
from isthmus.lab.controllers.garbage import Garbage
from isthmus.lab.controllers.replicasets import ReplicaSets
from isthmus.lab.controllers.services import ServiceAddresses
from isthmus.lab.fabric import Fabric, FabricFamily, FabricSpec
from isthmus.lab.kubelet.kubelet import Kubelet
from isthmus.lab.kubelet.node import Node
from isthmus.lab.sandbox import Sandboxes
from isthmus.lab.service_proxy import ServiceProxy
from isthmus.lab.sockets import bind_udp, listen, start_server
from isthmus.lab.spec import ClusterSpec
from isthmus.lab.vips import API_PORT, Vips

Json = dict[str, Any]


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
        self.server: ApiServer | None = None
        self.kubelet: Kubelet | None = None
        self._crew = Crew()
        self._door: socket.socket | None = None
        self._own: socket.socket | None = None

    async def start(self, sandboxes: Sandboxes, door: socket.socket | None) -> None:
        """Bring everything up; returns when the API server answers and its own objects are there."""
        await self.fabric.start()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._door = door
        server = self.server = ApiServer(self.credentials, self._folder / "objects.db", self._clock)
        ranges = tuple(each.service_cidr for each in self.spec.families)
        addresses = ServiceAddresses(server.api, ranges, self.spec.balancer_address)
        server.api.prepare["", "services"] = addresses.prepare
        server.api.unattended = UNATTENDED
        garbage = Garbage(server.api)
        server.api.hooks.append(garbage.heard)
        await server.prepare()
        await self._furnish(server)
        await self.start_server()
        node = Node(
            self.spec,
            server.api,
            server.tokens,
            self.fabric,
            sandboxes,
            self._catalogue,
            self._folder / "pods",
        )
        self.kubelet = Kubelet(node)
        server.attach(self.kubelet)
        proxy = ServiceProxy(self.fabric.router, ranges)
        jobs = {
            "accounts": Accounts(server.api, server.tokens, self.credentials.ca).run(),
            "deployments": Deployments(server.api).run(),
            "replicasets": ReplicaSets(server.api).run(),
            "endpoints": EndpointsController(server.api).run(),
            "garbage": garbage.run(),
            "proxy": proxy.run(),
            "vips": Vips(server.api, self.spec, proxy).run(),
            "kubelet": self.kubelet.run(),
            "dns": self._serve_dns(server),
        }
        for name, job in jobs.items():
            self._crew.start(name, job)

    async def stop(self) -> None:
        """End everything: pods first, then the rest."""
        await self._crew.stop("kubelet")
        await self._crew.stop_all()
        if self.server is not None:
            await self.server.stop()
            self.server.close()
        await self.fabric.stop()

    async def start_server(self) -> None:
        """Let the API server answer (again)."""
        if self.server is None:
            return
        own = [listen(self.fabric.router, each.api_address, API_PORT) for each in self.spec.families]
        doors = [self._door.dup()] if self._door is not None else []
        await self.server.start([*own, *doors], Address(self.spec.api_address, API_PORT))

    async def stop_server(self) -> None:
        """Let the API server go silent: its connections break and nobody answers."""
        if self.server is not None:
            await self.server.stop()

    def kubeconfig(self, server: str) -> Json:
        """The administrator's kubeconfig for the API server at `server`."""
        return self.credentials.kubeconfig(server)

    @property
    def server_inside(self) -> str:
        """The API server's address as pods of all clusters reach it."""
        return f"https://{authority(self.spec.api_address, API_PORT)}"

    async def _serve_dns(self, server: ApiServer) -> None:
        dns = DnsServer(Zone(server.api))
        router, address = self.fabric.router, self.spec.node_address
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(dns.datagrams, sock=bind_udp(router, address, 53))
        listener = await start_server(router, address, 53, dns.stream)
        try:
            await listener.serve_forever()
        finally:
            transport.close()

    async def _furnish(self, server: ApiServer) -> None:
        """The node and the Services that a cluster has from the start."""
        for obj in _objects(self.spec):
            each = builtin(*_TYPES[obj["kind"]])
            if server.api.find(each, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) is None:
                await server.api.create(each, obj)


_TYPES = {"Node": ("nodes",), "Service": ("services",), "Endpoints": ("endpoints",)}


def _objects(spec: ClusterSpec) -> list[Json]:
    labels = {"kubernetes.io/hostname": spec.node, "kubernetes.io/os": "linux"}
    if spec.region:
        labels["topology.kubernetes.io/region"] = spec.region
    if spec.zone:
        labels["topology.kubernetes.io/zone"] = spec.zone
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the lab's kubelet runs"}
    node: Json = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": spec.node, "labels": labels},
        "spec": {"podCIDR": spec.pod_cidr, "podCIDRs": [each.pod_cidr for each in spec.families]},
        "status": {
            "conditions": [ready],
            "addresses": [
                *({"type": "InternalIP", "address": each.node_address} for each in spec.families),
                {"type": "Hostname", "address": spec.node},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.34.0+isthmus",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }
    return [
        node,
        _service(
            "default",
            "kubernetes",
            spec.api_service_address,
            [{"name": "https", "port": 443, "targetPort": API_PORT}],
        ),
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "kubernetes", "namespace": "default"},
            "subsets": [
                {
                    "addresses": [{"ip": spec.api_address}],
                    "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
                }
            ],
        },
        _service(
            "kube-system",
            "kube-dns",
            spec.dns_address,
            [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        ),
    ]


def _service(namespace: str, name: str, address: str, ports: list[Json]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": address, "ports": ports},
    }
