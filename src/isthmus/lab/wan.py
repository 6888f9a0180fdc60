"""The line between clusters that stands for a VPN: it can be slow, lossy, cut, and healed, at run time.

Without impairment it is a plain router. Delay and loss are netem's where the kernel has it, else those of
`wan_relay`, which then carries the packets instead of the kernel.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network

import msgspec

from isthmus.kit.netlink import (
    LinkCounters,
    LinkEnd,
    Message,
    Netlink,
    address,
    link_down,
    link_up,
    route,
    veth,
)
from isthmus.lab.fabric import IPV6_FORWARDING, Fabric
from isthmus.lab.netns import NetworkNamespace, inside, run_in, set_sysctls
from isthmus.lab.packet_socket import open_packet_socket
from isthmus.lab.programs import find_program
from isthmus.lab.wan_relay import Condition, RelaySite
from isthmus.lab.wiretap import Wiretap

_LOOPBACK = 1
_NEXT_HOPS, _ROUTER_V6 = {4: "169.254.2.1", 6: "fe80::2:1"}, "fe80::2:2"
_SETTINGS = {
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.send_redirects": "0",
    "net.ipv4.conf.default.send_redirects": "0",
    "net.ipv6.conf.default.accept_dad": "0",
    "net.ipv6.conf.default.accept_ra": "0",
}


@dataclass(frozen=True, slots=True)
class Impairment:
    """One way delay in milliseconds and its greatest deviation, and the share (0 to 1) of packets lost."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0


class Cut(enum.Enum):
    """How a line is cut: packets vanish silently, or the links are down and routers say "unreachable"."""

    BLACKHOLE = "blackhole"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class _Site:
    fabric: Fabric
    prefixes: tuple[str, ...]
    index: int
    router_index: int

    @property
    def device(self) -> str:
        return f"site{self.index}"

    @property
    def mac(self) -> str:
        return f"02:00:00:00:{self.index:02x}:01"

    @property
    def router_mac(self) -> str:
        return f"02:00:00:00:{self.index:02x}:02"


class Wan:
    """One line that joins two or more fabrics."""

    def __init__(self, name: str = "vpn") -> None:
        self.name = name
        self._namespace: NetworkNamespace | None = None
        self._sites: dict[str, _Site] = {}
        self._impairment = Impairment()
        self._cut: Cut | None = None
        self._relay: asyncio.subprocess.Process | None = None
        self._netem: bool | None = None

    @property
    def device(self) -> str:
        """The name of this line's end in every router that joined."""
        return f"{self.name}0"

    @property
    def impairment(self) -> Impairment:
        return self._impairment

    @property
    def is_cut(self) -> Cut | None:
        """How the line is cut now, None when it is whole."""
        return self._cut

    @property
    def carrier(self) -> str:
        """Who carries packets now: "kernel", "netem" or "relay"."""
        if self._impairment == Impairment():
            return "kernel"
        return "netem" if self._netem else "relay"

    @property
    def _inside(self) -> NetworkNamespace:
        if self._namespace is None:
            raise RuntimeError(f'line "{self.name}" is not started')
        return self._namespace

    async def start(self) -> None:
        """Make the namespace in the middle, which joins nothing yet."""
        self._namespace = await asyncio.to_thread(_make_middle, self.name)

    async def stop(self) -> None:
        """Let everything go; the fabrics keep their ends until they stop."""
        await self._stop_relay()
        if self._namespace is not None:
            self._namespace.close()
            self._namespace = None
        self._sites.clear()

    async def join(self, fabric: Fabric, prefixes: Sequence[str] | None = None) -> None:
        """Connect the router of `fabric`, behind which are `prefixes`: its pods, its node, its API server."""
        spec = fabric.spec
        if prefixes is None:
            prefixes = [
                prefix
                for each in spec.families
                for prefix in (each.pod_cidr, each.alone(each.node_address), each.alone(each.control_address))
            ]
        site = _Site(fabric, tuple(prefixes), len(self._sites) + 2, fabric.next_link())
        await asyncio.to_thread(_wire_site, self._inside, site, self.device)
        others = list(self._sites.values())
        self._sites[spec.cluster] = site
        for other in others:
            await other.fabric.apply(*_routes(other, site))
            await fabric.apply(*_routes(site, other))
        if self._relay is not None:
            await self._stop_relay()
            await self._settle()

    async def impair(self, impairment: Impairment) -> None:
        """Make the line this slow and lossy in both directions, for packets sent from now on."""
        self._impairment = impairment
        await self._settle()

    async def cut(self, how: Cut = Cut.BLACKHOLE) -> None:
        """Let nothing through any more; what is under way is lost."""
        await self.heal()
        self._cut = how
        if how is Cut.DOWN:
            for site in self._sites.values():
                await site.fabric.apply(link_down(site.router_index))
        await self._settle()

    async def heal(self) -> None:
        """Let packets through again, as slow and lossy as the line was."""
        was, self._cut = self._cut, None
        if was is Cut.DOWN:
            for site in self._sites.values():
                routes = [
                    each
                    for other in self._sites.values()
                    if other is not site
                    for each in _routes(site, other)
                ]
                await site.fabric.apply(link_up(site.router_index), *routes)
        if was is not None:
            await self._settle()

    async def traffic(self) -> dict[str, LinkCounters]:
        """By cluster: what it sent into the line (`received_…`) and what the line brought it (`sent_…`)."""

        def read() -> dict[int, LinkCounters]:
            with Netlink() as netlink:
                return netlink.counters()

        counters = await run_in(self._inside, read)
        return {name: counters[site.index] for name, site in self._sites.items()}

    def tap(self) -> Wiretap:
        """A wiretap on everything that comes into the line, from all sites."""
        return Wiretap(self._inside, tuple(site.device for site in self._sites.values()))

    async def _settle(self) -> None:
        """Make the kernel and the relay do what impairment and cut say."""
        impaired = self._impairment != Impairment()
        if impaired and self._netem is None:
            self._netem = await run_in(self._inside, partial(_set_netem, "lo", self._impairment))
        if self._netem:
            for site in self._sites.values():
                await run_in(self._inside, partial(_set_netem, site.device, self._impairment))
        by_relay = impaired and not self._netem
        by_kernel = self._cut is None and not by_relay
        if by_relay:  # before the kernel stops: rather a packet twice than lost
            await self._tell_relay(cut=self._cut is not None)
        await run_in(self._inside, partial(_forward, by_kernel))
        if not by_relay:
            await self._stop_relay()

    async def _tell_relay(self, *, cut: bool) -> None:
        if self._relay is None:
            self._relay = await self._start_relay()
        wanted = self._impairment
        condition = Condition(wanted.delay_ms, wanted.jitter_ms, wanted.loss, cut)
        if self._relay.stdin is not None and self._relay.stdout is not None:
            self._relay.stdin.write(msgspec.json.encode(condition) + b"\n")
            await self._relay.stdin.drain()
            await self._relay.stdout.readline()  # from now on it holds

    async def _start_relay(self) -> asyncio.subprocess.Process:
        with ExitStack() as opened:
            sites = []
            for site in self._sites.values():
                with inside(self._inside):
                    tapped = open_packet_socket(site.device, socket.SOCK_RAW, offload=True)
                opened.enter_context(tapped)
                sites.append(RelaySite(tapped.fileno(), site.mac, site.router_mac, site.prefixes))
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "isthmus.lab.wan_relay",
                msgspec.json.encode(sites).decode(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[site.fd for site in sites],
            )

    async def _stop_relay(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None and relay.stdin is not None:
            relay.stdin.close()
            await relay.wait()


def _make_middle(name: str) -> NetworkNamespace:
    namespace = NetworkNamespace.create(name)
    with inside(namespace), Netlink() as netlink:
        set_sysctls(_SETTINGS)
        _forward(True)
        netlink.apply(link_up(_LOOPBACK))
    return namespace


def _forward(passes: bool) -> None:
    set_sysctls({"net.ipv4.ip_forward": str(int(passes)), IPV6_FORWARDING: str(int(passes))})


def _wire_site(middle: NetworkNamespace, site: _Site, router_device: str) -> None:
    families = {each.version: each for each in site.fabric.spec.families}
    with inside(middle), Netlink() as netlink:
        # A link of a family that nobody speaks there would have packets of its own.
        set_sysctls({"net.ipv6.conf.default.disable_ipv6": str(int(6 not in families))})
        near = LinkEnd(site.device, site.index, site.mac)
        far = LinkEnd(router_device, site.router_index, site.router_mac)
        netlink.apply(veth(near, far, site.fabric.router.fileno()), link_up(site.index))
    with inside(site.fabric.router), Netlink() as netlink:
        netlink.apply(link_up(site.router_index))
        if 6 in families:  # other than in IPv4, nobody answers on a link for an address of another
            netlink.apply(address(_ROUTER_V6, site.router_index))
    with inside(middle), Netlink() as netlink:
        for version, family in families.items():
            netlink.apply(address(_NEXT_HOPS[version], site.index))
            if version == 4:
                netlink.apply(route(family.alone(family.node_address), site.index))
        for prefix in site.prefixes:
            family = families[ip_network(prefix).version]
            if family.version == 6:
                netlink.apply(route(prefix, site.index, gateway=_ROUTER_V6))
            elif prefix != family.alone(family.node_address):
                netlink.apply(route(prefix, site.index, gateway=family.node_address))


def _routes(site: _Site, other: _Site) -> list[Message]:
    """What the router of `site` must know to reach `other`, of the families that both have."""
    nodes = {each.version: each.node_address for each in site.fabric.spec.families}
    return [
        route(prefix, site.router_index, gateway=_NEXT_HOPS[version], source=nodes[version])
        for prefix in other.prefixes
        if (version := ip_network(prefix).version) in nodes
    ]


def _set_netem(device: str, wanted: Impairment) -> bool:
    """Whether the kernel has netem and `tc` made it delay and lose what leaves by `device`."""
    delay = (
        ("delay", f"{wanted.delay_ms}ms", f"{wanted.jitter_ms}ms")
        if wanted.delay_ms or wanted.jitter_ms
        else ()
    )
    loss = ("loss", f"{wanted.loss * 100}%") if wanted.loss else ()
    tc = find_program("tc")
    if tc is None:
        return False
    command = (tc, "qdisc", "replace", "dev", device, "root", "netem", "limit", "10000", *delay, *loss)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
