"""What of a pod's traffic goes into its Envoy, as settings and the annotations that change them.

Source: Istio's annotations `traffic.sidecar.istio.io/*`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

import msgspec

from isthmus.kit.whole import whole

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
EXCLUDE_INTERFACES = _PREFIX + "excludeInterfaces"
KUBEVIRT_INTERFACES = _PREFIX + "kubevirtInterfaces"
REROUTE_INTERFACES = "istio.io/reroute-virtual-interfaces"
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")


class InvalidCapture(ValueError):
    """A wish for capture that cannot be understood."""


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
    exclude_interfaces: tuple[str, ...] = ()  # what passes these is not captured
    virtual_interfaces: tuple[str, ...] = ()  # machines are behind these: what they send goes out of the pod
    mark: int = 1337
    user: int | None = None  # uid mode: connections of this user pass instead of marked ones
    dns_port: int = 0  # of the agent, which answers what `dns_servers` are asked; 0: nobody is led to it
    dns_servers: tuple[str, ...] = ()
    # Whether Envoy is shown connections as they come (TPROXY), and calls the application from its callers' addresses.
    keeps_source: bool = False
    datagrams: bool = True  # whether those to services go to Envoy, as soon as the agent knows where

    def with_annotations(self, annotations: Mapping[str, str]) -> CaptureSettings:
        """These settings as changed by a pod's annotations. Raises `InvalidCapture` naming the annotation."""
        for name in annotations:
            if name.startswith(_PREFIX) and name not in _ANNOTATIONS:
                known = ", ".join(each.removeprefix(_PREFIX) for each in _ANNOTATIONS)
                raise InvalidCapture(f"{name}: not known (hint: {known})")
        changes: dict[str, object] = {}
        wrong: list[str] = []
        for name, (field, read) in _ANNOTATIONS.items():
            if name in annotations:
                try:
                    changes[field] = read(annotations[name])
                except InvalidCapture as error:
                    wrong.append(f"{name}: {error}")
        if wrong:
            raise InvalidCapture("; ".join(wrong))
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


def interfaces(text: str) -> tuple[str, ...]:
    """Names of network interfaces in a comma-separated list. Raises `InvalidCapture`."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for each in found:
        if not _INTERFACE.fullmatch(each):
            raise InvalidCapture(f"not an interface: {each!r} (hint: k6t-eth0; at most 15 letters)")
    return found


_ANNOTATIONS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    INCLUDE_OUTBOUND_RANGES: ("include_outbound_ranges", ranges),
    EXCLUDE_OUTBOUND_RANGES: ("exclude_outbound_ranges", excluded_ranges),
    INCLUDE_OUTBOUND_PORTS: ("include_outbound_ports", ports),
    EXCLUDE_OUTBOUND_PORTS: ("exclude_outbound_ports", ports),
    INCLUDE_INBOUND_PORTS: ("include_inbound_ports", inbound_ports),
    EXCLUDE_INBOUND_PORTS: ("exclude_inbound_ports", ports),
    EXCLUDE_INTERFACES: ("exclude_interfaces", interfaces),
    KUBEVIRT_INTERFACES: ("virtual_interfaces", interfaces),
    REROUTE_INTERFACES: ("virtual_interfaces", interfaces),
}


def _range(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise InvalidCapture(f"not a range: {text!r} (hint: 10.0.0.0/8, fd00::/8, or * alone)") from error


def _port(text: str) -> int:
    found = whole(text, 65535)
    if not found:
        raise InvalidCapture(f"not a port: {text!r} (hint: a number from 1 to 65535)")
    return found
