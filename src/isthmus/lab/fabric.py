"""The network of one cluster: a router namespace, and pods routed to it with /32 addresses.

Never a bridge: the kernel's table of neighbours has 1,024 places for all namespaces together.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass

from isthmus.lab.addresses import AddressPool
from isthmus.lab.netlink import (
    LinkCounters,
    LinkEnd,
    Message,
    Netlink,
    address,
    link_deleted,
    link_up,
    route,
    veth,
)
from isthmus.lab.netns import NetworkNamespace, inside, run_in, set_sysctls

_GATEWAY = "169.254.1.1"
_LOOPBACK = 1
_POD_LINK = 2
_ROUTER = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv6.conf.default.disable_ipv6": "1",
}
_POD = {"net.ipv6.conf.default.disable_ipv6": "1"}


@dataclass(frozen=True, slots=True)
class FabricSpec:
    """The addresses of one cluster. Those of the node and of the API server are outside the ranges."""

    cluster: str
    pod_cidr: str
    service_cidr: str
    node_address: str
    control_address: str


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """What a pod has of the network: its own namespace with `eth0`, and the other end at the router."""

    name: str
    address: str
    namespace: NetworkNamespace
    router_link: int


class Fabric:
    """One cluster's network. Sockets of the API server, DNS and kubelet belong into `router`."""

    def __init__(self, spec: FabricSpec) -> None:
        self.spec = spec
        self._router: NetworkNamespace | None = None
        self._pool = AddressPool(spec.pod_cidr)
        self._pods: dict[str, PodNetwork] = {}
        self._indexes = itertools.count(10)

    @property
    def router(self) -> NetworkNamespace:
        """The namespace all pods of the cluster are routed through: the cluster's one node."""
        if self._router is None:
            raise RuntimeError(f'fabric "{self.spec.cluster}" is not started')
        return self._router

    @property
    def pods(self) -> dict[str, PodNetwork]:
        return dict(self._pods)

    async def start(self) -> None:
        """Make the router, with the addresses of the node and of the API server."""
        self._router = await asyncio.to_thread(_make_router, self.spec)

    async def stop(self) -> None:
        """Let all namespaces go."""
        for pod in self._pods.values():
            pod.namespace.close()
        self._pods.clear()
        if self._router is not None:
            self._router.close()
            self._router = None

    async def add_pod(self, name: str) -> PodNetwork:
        """A namespace for the pod `name`, which must be new, with an address and a way out."""
        if name in self._pods:
            raise ValueError(f'pod "{name}" has a network already')
        pod_address, index = self._pool.take(), self.next_link()
        try:
            pod = await asyncio.to_thread(_wire_pod, self, name, pod_address, index)
        except BaseException:
            self._pool.give_back(pod_address)
            raise
        self._pods[name] = pod
        return pod

    async def remove_pod(self, name: str) -> None:
        """Take the pod's link and namespace away; nothing if it has none."""
        pod = self._pods.pop(name, None)
        if pod is None:
            return
        await self.apply(link_deleted(pod.router_link))
        pod.namespace.close()
        self._pool.give_back(pod.address)

    async def traffic(self, name: str) -> LinkCounters:
        """What the router received from (`received_…`) and sent to (`sent_…`) the pod `name`."""
        return (await self.counters())[self._pods[name].router_link]

    async def counters(self) -> dict[int, LinkCounters]:
        """Counters of all links of the router, by index."""

        def read() -> dict[int, LinkCounters]:
            with Netlink() as netlink:
                return netlink.counters()

        return await run_in(self.router, read)

    async def apply(self, *messages: Message) -> None:
        """Change links, addresses and routes of the router."""

        def change() -> None:
            with Netlink() as netlink:
                netlink.apply(*messages)

        await run_in(self.router, change)

    def next_link(self) -> int:
        """The index for one more link of the router."""
        return next(self._indexes)


def _make_router(spec: FabricSpec) -> NetworkNamespace:
    router = NetworkNamespace.create(f"{spec.cluster}/router")
    with inside(router), Netlink() as netlink:
        set_sysctls(_ROUTER)
        netlink.apply(
            link_up(_LOOPBACK),
            address(spec.node_address, _LOOPBACK),
            address(spec.control_address, _LOOPBACK),
            # Processes of the node need a route before their packets to a service meet its rule; what has
            # no rule meets the one that refuses. See service_proxy.
            route(spec.service_cidr, _LOOPBACK, source=spec.node_address),
        )
    return router


def _wire_pod(fabric: Fabric, name: str, pod_address: str, index: int) -> PodNetwork:
    pod = NetworkNamespace.create(name)
    try:
        with inside(pod), Netlink() as netlink:
            set_sysctls(_POD)
            netlink.apply(
                veth(LinkEnd("eth0", _POD_LINK), LinkEnd(f"pod{index}", index), fabric.router.fileno()),
                link_up(_LOOPBACK),
                link_up(_POD_LINK),
                address(pod_address, _POD_LINK),
                route(f"{_GATEWAY}/32", _POD_LINK),
                route("0.0.0.0/0", _POD_LINK, gateway=_GATEWAY),
            )
        with inside(fabric.router), Netlink() as netlink:
            way_in = route(f"{pod_address}/32", index, source=fabric.spec.node_address)
            netlink.apply(link_up(index), address(_GATEWAY, index), way_in)
    except BaseException:
        pod.close()
        raise
    return PodNetwork(name, pod_address, pod, index)
