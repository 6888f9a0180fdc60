"""The network of one cluster: a router namespace, and pods routed to it with /32 addresses.

Never a bridge: the kernel's table of neighbours has 1,024 places for all namespaces together.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from ipaddress import ip_network

from isthmus.kit.netlink import (
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
from isthmus.lab.addresses import AddressPool
from isthmus.lab.netns import NetworkNamespace, inside, run_in, set_sysctls

_GATEWAYS = {4: "169.254.1.1", 6: "fe80::1:1"}
_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
_LOOPBACK = 1
_POD_LINK = 2
_ROUTER = {
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
}
_NO_IPV6 = {"net.ipv6.conf.default.disable_ipv6": "1"}
# Nobody else has these addresses: who looks for doubles first cannot be called for a second.
_IPV6 = {"net.ipv6.conf.default.accept_dad": "0", "net.ipv6.conf.default.accept_ra": "0"}
IPV6_FORWARDING = "net.ipv6.conf.all.forwarding"


@dataclass(frozen=True, slots=True)
class FabricFamily:
    """A cluster's addresses of one family. Those of the node and of the API server are outside the ranges."""

    pod_cidr: str
    service_cidr: str
    node_address: str
    control_address: str

    @property
    def version(self) -> int:
        return ip_network(self.pod_cidr).version

    def alone(self, ip: str) -> str:
        """The range of that one address."""
        return f"{ip}/{32 if self.version == 4 else 128}"


@dataclass(frozen=True, slots=True)
class FabricSpec:
    """The addresses of one cluster; the first family is the one by which pods are known."""

    cluster: str
    families: tuple[FabricFamily, ...]

    @property
    def first(self) -> FabricFamily:
        return self.families[0]

    @property
    def settings(self) -> dict[str, str]:
        """Of the kernel, for every namespace of the cluster."""
        return _IPV6 if any(each.version == 6 for each in self.families) else _NO_IPV6


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """What a pod has of the network: its own namespace with `eth0`, and the other end at the router."""

    name: str
    addresses: tuple[str, ...]  # the one by which it is known first
    namespace: NetworkNamespace
    router_link: int

    @property
    def address(self) -> str:
        return self.addresses[0]


class Fabric:
    """One cluster's network. Sockets of the API server, DNS and kubelet belong into `router`."""

    def __init__(self, spec: FabricSpec) -> None:
        self.spec = spec
        self._router: NetworkNamespace | None = None
        self._pools = tuple(AddressPool(each.pod_cidr) for each in spec.families)
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
        addresses, index = tuple(each.take() for each in self._pools), self.next_link()
        try:
            pod = await asyncio.to_thread(_wire_pod, self, name, addresses, index)
        except BaseException:
            self._give_back(addresses)
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
        self._give_back(pod.addresses)

    def _give_back(self, addresses: tuple[str, ...]) -> None:
        for pool, each in zip(self._pools, addresses, strict=True):
            pool.give_back(each)

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
        set_sysctls({**_ROUTER, **spec.settings})
        if any(each.version == 6 for each in spec.families):
            set_sysctls({IPV6_FORWARDING: "1"})
        netlink.apply(link_up(_LOOPBACK))
        for each in spec.families:
            netlink.apply(
                address(each.node_address, _LOOPBACK),
                address(each.control_address, _LOOPBACK),
                # Processes of the node need a route before their packets to a service meet its rule; what has
                # no rule meets the one that refuses. See service_proxy.
                route(each.service_cidr, _LOOPBACK, source=each.node_address, local=each.version == 6),
            )
    return router


def _wire_pod(fabric: Fabric, name: str, addresses: tuple[str, ...], index: int) -> PodNetwork:
    families = tuple(zip(fabric.spec.families, addresses, strict=True))
    pod = NetworkNamespace.create(name)
    try:
        with inside(pod), Netlink() as netlink:
            set_sysctls(fabric.spec.settings)
            netlink.apply(
                veth(LinkEnd("eth0", _POD_LINK), LinkEnd(f"pod{index}", index), fabric.router.fileno()),
                link_up(_LOOPBACK),
                link_up(_POD_LINK),
            )
        with inside(fabric.router), Netlink() as netlink:
            netlink.apply(link_up(index))
            for family, ip in families:
                way_in = route(family.alone(ip), index, source=family.node_address)
                netlink.apply(address(_GATEWAYS[family.version], index), way_in)
        with inside(pod), Netlink() as netlink:
            for family, ip in families:
                gateway = _GATEWAYS[family.version]
                netlink.apply(
                    address(ip, _POD_LINK),
                    route(family.alone(gateway), _POD_LINK),
                    route(_EVERYWHERE[family.version], _POD_LINK, gateway=gateway),
                )
    except BaseException:
        pod.close()
        raise
    return PodNetwork(name, addresses, pod, index)
