"""Rulesets put in force: capture as a whole, and what changes of it while the pod runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from isthmus.kit.netlink import (
    LOOPBACK,
    Netlink,
    NetlinkError,
    address,
    all_is_here,
    marked_looks_into,
    marked_looks_no_more,
)
from isthmus.model.families import BOTH, Families
from isthmus.model.interception import SOURCE_MARK
from isthmus.sidecar.capture import CaptureSettings
from isthmus.sidecar.capture_rules import IPV6, removal, rules

_TABLE = 133
"""Of routes: what bears the mark of callers' connections is for this pod, whatever its address. Istio's number."""
_INTERFACES_V6 = Path("/proc/net/if_inet6")


class CaptureFailed(Exception):
    """nft refused the rules, or is not there."""


async def apply(settings: CaptureSettings) -> None:
    """Capture the traffic of this network namespace. Raises `CaptureFailed`."""
    found = families()
    if 6 in found:
        _give_source()
    _lead_answers_back(found, are_led=settings.keeps_source)
    await load(rules(settings, found))


async def clean() -> None:
    """Capture nothing any more. Raises `CaptureFailed`."""
    found = families()
    await load(removal(found))
    _lead_answers_back(found, are_led=False)


def families(interfaces: Path = _INTERFACES_V6) -> Families:
    """The versions of IP that the namespace has on loopback."""
    try:
        has_v6 = any(line.split()[-1] == "lo" for line in interfaces.read_text().splitlines())
    except OSError:
        has_v6 = False
    return BOTH if has_v6 else (4,)


def _give_source() -> None:
    """Envoy's source for calls to the application: of IPv4 all of 127.0.0.0/8 is on loopback, of IPv6 `::1` alone."""
    try:
        with Netlink() as netlink:
            netlink.apply(address(IPV6.source, LOOPBACK))
    except OSError as error:
        raise CaptureFailed(
            f"{IPV6.source} cannot be put on lo: {error} (hint: capture needs CAP_NET_ADMIN)"
        ) from error


def _lead_answers_back(found: Families, *, are_led: bool) -> None:
    """Keep in the pod what the application answers to callers in whose name Envoy has called it; or not."""
    try:
        with Netlink() as netlink:
            for version in found:
                with suppress(NetlinkError):  # there was none
                    netlink.apply(marked_looks_no_more(_TABLE, version, SOURCE_MARK))
                if are_led:
                    netlink.apply(
                        all_is_here(version, _TABLE), marked_looks_into(_TABLE, version, SOURCE_MARK)
                    )
    except OSError as error:
        raise CaptureFailed(
            f"answers cannot be led back to Envoy: {error} (hint: TPROXY needs CAP_NET_ADMIN)"
        ) from error


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
