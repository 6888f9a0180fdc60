"""Traffic of a pod into its Envoy: nftables rules as a value, and how they are put in place.

TCP and datagrams over IPv4, and questions to the pod's DNS servers. What Envoy and the agent send passes by its
mark, or by their user where marks cannot be set.
Source: nft(8), Istio's rules for annotations `traffic.sidecar.istio.io/*`.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping

import msgspec

TABLE = "isthmus"
DOORS_MAP = "doors"
"""Of the table: from an address and port to that of loopback where Envoy takes datagrams for it."""
ANY = "*"
DNS_PORT = 15053
"""Where the agent answers the pod's questions."""
_PREFIX = "traffic.sidecar.istio.io/"
INCLUDE_OUTBOUND_RANGES = _PREFIX + "includeOutboundIPRanges"
EXCLUDE_OUTBOUND_RANGES = _PREFIX + "excludeOutboundIPRanges"
INCLUDE_OUTBOUND_PORTS = _PREFIX + "includeOutboundPorts"
EXCLUDE_OUTBOUND_PORTS = _PREFIX + "excludeOutboundPorts"
INCLUDE_INBOUND_PORTS = _PREFIX + "includeInboundPorts"
EXCLUDE_INBOUND_PORTS = _PREFIX + "excludeInboundPorts"

# Asked for from outside the pod without TLS: by probes and by Prometheus.
_OWN_PORTS = (15008, 15020, 15021, 15090)
# The address from which Envoy's inbound connections to the application come.
_INBOUND_SOURCE = "127.0.0.6"


class InvalidCapture(ValueError):
    """A wish for capture that cannot be understood."""


class CaptureFailed(Exception):
    """nft refused the rules, or is not there."""


class CaptureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is captured. `(ANY,)` means all of it, `()` none."""

    outbound_port: int = 15001
    inbound_port: int = 15006
    include_outbound_ranges: tuple[str, ...] = (ANY,)
    exclude_outbound_ranges: tuple[str, ...] = ()
    include_outbound_ports: tuple[int, ...] = ()  # captured although their addresses are not included
    exclude_outbound_ports: tuple[int, ...] = ()
    include_inbound_ports: tuple[int, ...] | None = None  # None: all
    exclude_inbound_ports: tuple[int, ...] = ()
    mark: int = 1337
    user: int | None = None  # uid mode: connections of this user pass instead of marked ones
    dns_port: int = 0  # of the agent, which answers what `dns_servers` are asked; 0: nobody is led to it
    dns_servers: tuple[str, ...] = ()
    datagrams: bool = True  # whether those to services go to Envoy, as soon as the agent knows where

    def with_annotations(self, annotations: Mapping[str, str]) -> CaptureSettings:
        """These settings as changed by a pod's annotations. Raises `InvalidCapture` naming the annotation."""
        for name in annotations:
            if name.startswith(_PREFIX) and name not in _ANNOTATIONS:
                known = ", ".join(each.removeprefix(_PREFIX) for each in _ANNOTATIONS)
                raise InvalidCapture(f"{name}: not known (hint: {known})")
        changes: dict[str, object] = {}
        for name, (field, read) in _ANNOTATIONS.items():
            if name in annotations:
                try:
                    changes[field] = read(annotations[name])
                except InvalidCapture as error:
                    raise InvalidCapture(f"{name}: {error}") from error
        return msgspec.structs.replace(self, **changes)


def ranges(text: str) -> tuple[str, ...]:
    """As `excluded_ranges`, but `*` is all."""
    return (ANY,) if text.strip() == ANY else excluded_ranges(text)


def excluded_ranges(text: str) -> tuple[str, ...]:
    """CIDR ranges in a comma-separated list; the empty text is none. Raises `InvalidCapture`."""
    return tuple(_range(part.strip()) for part in text.split(",") if part.strip())


def ports(text: str) -> tuple[int, ...]:
    """Ports (1 to 65535) in a comma-separated list. Raises `InvalidCapture`."""
    return tuple(_port(part.strip()) for part in text.split(",") if part.strip())


def inbound_ports(text: str) -> tuple[int, ...] | None:
    """As `ports`, but `*` is all (None)."""
    return None if text.strip() == ANY else ports(text)


_ANNOTATIONS = {
    INCLUDE_OUTBOUND_RANGES: ("include_outbound_ranges", ranges),
    EXCLUDE_OUTBOUND_RANGES: ("exclude_outbound_ranges", excluded_ranges),
    INCLUDE_OUTBOUND_PORTS: ("include_outbound_ports", ports),
    EXCLUDE_OUTBOUND_PORTS: ("exclude_outbound_ports", ports),
    INCLUDE_INBOUND_PORTS: ("include_inbound_ports", inbound_ports),
    EXCLUDE_INBOUND_PORTS: ("exclude_inbound_ports", ports),
}


def rules(settings: CaptureSettings) -> str:
    """The ruleset for `nft -f -`. Loading it again replaces it, in one step."""
    lines = [
        f"add table ip {TABLE}",
        f"delete table ip {TABLE}",
        f"table ip {TABLE} {{",
        f"  map {DOORS_MAP} {{",
        "    type ipv4_addr . inet_service : inet_service",
        "  }",
        *_chain("output", "type nat hook output priority -100;", _outbound(settings)),
        *_chain("prerouting", "type nat hook prerouting priority -100;", _inbound(settings)),
        "}",
    ]
    return "\n".join(lines) + "\n"


def removal() -> str:
    """The ruleset that takes capture away, whether it is there or not."""
    return f"add table ip {TABLE}\ndelete table ip {TABLE}\n"


async def apply(settings: CaptureSettings) -> None:
    """Capture the traffic of this network namespace. Raises `CaptureFailed`."""
    await load(rules(settings))


async def clean() -> None:
    """Capture nothing any more. Raises `CaptureFailed`."""
    await load(removal())


def _outbound(settings: CaptureSettings) -> list[str]:
    who, value = ("mark", f"{settings.mark:#x}") if settings.user is None else ("skuid", str(settings.user))
    own, other = f"meta {who} {value}", f"meta {who} != {value}"
    to_envoy = f"redirect to :{settings.outbound_port}"
    lines = [
        *_dns(settings, own),
        *(_datagrams(settings, own) if settings.datagrams else ()),
        "meta l4proto != tcp return",
        f'oifname "lo" ip saddr {_INBOUND_SOURCE} return',
        # Envoy was asked for a service whose endpoint is this very pod: inbound policy holds there as well.
        f'meta l4proto tcp oifname "lo" ip daddr != 127.0.0.1 {own} redirect to :{settings.inbound_port}',
        f'oifname "lo" {other} return',
        f"{own} return",
        "ip daddr 127.0.0.0/8 return",
    ]
    if settings.exclude_outbound_ports:
        lines.append(f"tcp dport {_set(settings.exclude_outbound_ports)} return")
    if settings.exclude_outbound_ranges:
        lines.append(f"ip daddr {_set(settings.exclude_outbound_ranges)} return")
    if settings.include_outbound_ports:
        lines.append(f"tcp dport {_set(settings.include_outbound_ports)} {to_envoy}")
    if ANY in settings.include_outbound_ranges:
        lines.append(f"meta l4proto tcp {to_envoy}")
    elif settings.include_outbound_ranges:
        lines.append(f"meta l4proto tcp ip daddr {_set(settings.include_outbound_ranges)} {to_envoy}")
    return lines


def _dns(settings: CaptureSettings, own: str) -> list[str]:
    """Questions to the servers of resolv.conf go to the agent; those to others are meant for just these."""
    servers = tuple(each for each in settings.dns_servers if ":" not in each)
    if not settings.dns_port or not servers:
        return []
    asked, to_agent = f"ip daddr {_set(servers)}", f"redirect to :{settings.dns_port}"
    return [f"meta l4proto {{ tcp, udp }} th dport 53 {own} return"] + [
        f"{asked} {protocol} dport 53 {to_agent}" for protocol in ("udp", "tcp")
    ]


def _datagrams(settings: CaptureSettings, own: str) -> list[str]:
    """What is sent to a service goes to the door for it; questions to the pod's DNS servers are no such thing."""
    lines = [f"meta l4proto udp {own} return"]
    servers = tuple(each for each in settings.dns_servers if ":" not in each)
    if servers:
        lines.append(f"ip daddr {_set(servers)} udp dport 53 return")
    if settings.exclude_outbound_ports:
        lines.append(f"udp dport {_set(settings.exclude_outbound_ports)} return")
    if settings.exclude_outbound_ranges:
        lines.append(f"meta l4proto udp ip daddr {_set(settings.exclude_outbound_ranges)} return")
    led = f"redirect to : ip daddr . udp dport map @{DOORS_MAP}"
    if settings.include_outbound_ports:
        lines.append(f"udp dport {_set(settings.include_outbound_ports)} {led}")
    if ANY in settings.include_outbound_ranges:
        lines.append(f"meta l4proto udp {led}")
    elif settings.include_outbound_ranges:
        lines.append(f"meta l4proto udp ip daddr {_set(settings.include_outbound_ranges)} {led}")
    return lines


def _inbound(settings: CaptureSettings) -> list[str]:
    passed = tuple(sorted({*_OWN_PORTS, *settings.exclude_inbound_ports}))
    to_envoy = f"redirect to :{settings.inbound_port}"
    lines = ["meta l4proto != tcp return", f"tcp dport {_set(passed)} return"]
    if settings.include_inbound_ports is None:
        lines.append(f"meta l4proto tcp {to_envoy}")
    elif settings.include_inbound_ports:
        lines.append(f"tcp dport {_set(settings.include_inbound_ports)} {to_envoy}")
    return lines


def _chain(name: str, hook: str, lines: list[str]) -> list[str]:
    # nft 1.0.6 takes a closing brace only on a line of its own.
    return [f"  chain {name} {{", f"    {hook}", *(f"    {line}" for line in lines), "  }"]


def _set(members: tuple[object, ...]) -> str:
    return "{ " + ", ".join(map(str, members)) + " }"


def _range(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text, strict=False))
    except ValueError as error:
        raise InvalidCapture(f"not an IPv4 range: {text!r} (hint: 10.0.0.0/8, or * alone)") from error


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise InvalidCapture(f"not a port: {text!r} (hint: a number from 1 to 65535)")
    return int(text)


async def load(ruleset: str) -> None:
    """Let nft take a ruleset, all of it or nothing. Raises `CaptureFailed`."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft", "-f", "-", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as error:
        raise CaptureFailed("nft is not there (hint: install nftables in the image)") from error
    _, errors = await process.communicate(ruleset.encode())
    if process.returncode:
        said = errors.decode(errors="replace").strip()
        raise CaptureFailed(f"nft refused the rules: {said} (hint: capture needs CAP_NET_ADMIN)")
