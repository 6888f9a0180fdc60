"""The part of the probe that runs inside the namespaces a lab would have: prints what it tried, as JSON."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from isthmus.kit.netlink import LinkEnd, Netlink, link_up, veth
from isthmus.lab import rootfs
from isthmus.lab.netns import NetworkNamespace, inside
from isthmus.lab.packet_socket import open_packet_socket
from isthmus.lab.probe import Tried
from isthmus.lab.programs import find_program, program
from isthmus.lab.syscalls import unmount

_RULES = """table ip probe {
  chain from_node {
    type nat hook output priority -100; policy accept;
    meta l4proto tcp meta mark 0x539 redirect to :15006
    meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 192.0.2.1 . 80, 1 : 192.0.2.2 . 80 }
  }
}
"""


def main() -> None:
    """Try everything, once; each attempt is on its own."""
    attempts: tuple[tuple[str, Callable[[], str]], ...] = (
        ("veth", _veth),
        ("nftables NAT", _nftables),
        ("packet socket", _packet_socket),
        ("netem", _netem),
        ("open files", _open_files),
        ("own root", _own_root),
    )
    tried = []
    for name, attempt in attempts:
        try:
            tried.append(Tried(name, ok=True, detail=attempt()))
        except (OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
            tried.append(Tried(name, ok=False, detail=str(error)))
    if tried[-1].ok:
        detail = tried[-1].detail
        tried.append(Tried("overlay", ok=detail == "overlay", detail=detail))
    sys.stdout.write(msgspec.json.encode(tried).decode())


def _veth() -> str:
    other = NetworkNamespace.create("probe")
    with Netlink() as netlink:
        netlink.apply(veth(LinkEnd("probe0", 10), LinkEnd("probe1", 10), other.fileno()), link_up(10))
    with inside(other), Netlink() as netlink:
        netlink.apply(link_up(10))
    return "a pair of links between two namespaces"


def _nftables() -> str:
    command = [program("nft"), "-f", "-"]
    done = subprocess.run(command, input=_RULES, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return "redirection, and translation to a random backend"


def _packet_socket() -> str:
    open_packet_socket("probe0", socket.SOCK_RAW, offload=True).close()
    return "with offload headers"


def _netem() -> str:
    tc = find_program("tc")
    if tc is None:
        raise LookupError("tc is not installed")
    command = [tc, "qdisc", "replace", "dev", "probe0", "root", "netem", "delay", "1ms"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    return "in the kernel"


def _open_files() -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        raise ValueError(f"at most {hard}")
    return f"up to {hard}"


def _own_root() -> str:
    with tempfile.TemporaryDirectory() as base:
        host = rootfs.prepare(base, ())
        unmount(str(Path(base)))
    return "overlay" if host.overlay else "single binds"


if __name__ == "__main__":
    main()
