"""What texts say of IP: whether they are addresses or networks, where others may be names; and how URLs have them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address, without brackets, port or length of prefix."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """Whether `text` is a range of addresses, `10.0.0.0/8`, with no bits beyond its prefix, or one address."""
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def authority(host: str, port: int | str) -> str:
    """A host and its port in one word: `web:80`, `10.0.0.1:80`, `[fd00::1]:80`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_and_port(text: str) -> tuple[str, int] | None:
    """The parts of `host:port`, of `[::1]:port` without brackets; None where it is neither."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    number = int(port) if port.isdecimal() and len(port) <= 5 else 0
    return (host, number) if host and 0 < number < 65536 else None
