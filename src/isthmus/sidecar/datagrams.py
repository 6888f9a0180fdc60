"""Leads the datagrams of a pod to the doors of its Envoy, as Pilot tells them: elements of a map of nftables.

A set beside it has the pod's own ports that are shut to all but tunnels.

Each change is one transaction of what differs. A way is opened when Envoy listens behind it, and closed when
its service is gone: while Envoy is away what is sent is lost rather than seen by others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from isthmus.kit.clock import Clock
from isthmus.kit.scopes import agent as log
from isthmus.model.doors import NAME, SHUT, Sent, decode, decode_shut
from isthmus.model.families import Families, family
from isthmus.sidecar.capture_rules import DOORS_MAP, FAMILIES, SHUT_SET, TABLE
from isthmus.sidecar.nft import CaptureFailed, load

UDP_SOCKETS = {4: Path("/proc/net/udp"), 6: Path("/proc/net/udp6")}
"""Where the kernel tells of sockets, by version of IP."""
_LOOPBACK = {4: "0100007F", 6: "00000000000000000000000001000000"}
_LOOK_S, _LOOK_LATER_S = 0.1, 2.0
_SOON = 50  # looks: Envoy takes its listeners at about the time at which we hear of doors
_CHUNK = 1000  # elements in one transaction

T = TypeVar("T")
Ways = Mapping[Sent, int]


class Datagrams:
    """Keeps the map and the set as they were told last."""

    def __init__(
        self, clock: Clock, families: Families = (4,), sockets: Mapping[int, Path] = UDP_SOCKETS
    ) -> None:
        self._clock, self._families, self._sockets = clock, families, sockets
        self._told: Ways = {}
        self._held: dict[Sent, int] = {}
        self._shut: frozenset[int] = frozenset()  # as told
        self._held_shut: frozenset[int] = frozenset()
        self._is_known = False  # whether what is held is all that the map and the set have
        self._changed = asyncio.Event()
        self.failures = 0

    def take(self, bodies: Mapping[str, bytes]) -> None:
        """Take the tables that Pilot tells. Raises `ValueError` where they cannot be understood."""
        if NAME in bodies:
            self._told = decode(bodies[NAME])
        if SHUT in bodies:
            self._shut = decode_shut(bodies[SHUT])
        self._changed.set()

    @property
    def open(self) -> int:
        """How many ways are open."""
        return len(self._held)

    async def run(self) -> None:
        """Bring the map up to date until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            looks = 0
            while not await self._brought_up_to_date() and not self._changed.is_set():
                looks += 1
                await self._clock.sleep(_LOOK_S if looks < _SOON else _LOOK_LATER_S)

    async def _brought_up_to_date(self) -> bool:
        """Whether all is as told, after opening what can be opened."""
        told = {sent: door for sent, door in self._told.items() if family(sent.address) in self._families}
        bound = {each: bound_on_loopback(self._sockets[each], each) for each in self._families}
        wanted = {
            sent: door
            for sent, door in told.items()
            if door in bound[family(sent.address)] or self._held.get(sent) == door
        }
        shut = self._shut
        if wanted != self._held or shut != self._held_shut or not self._is_known:
            try:
                for each in self._families:
                    for text in shutting(self._held_shut if self._is_known else None, shut, each):
                        await load(text)
                    before = _of(self._held, each) if self._is_known else None
                    for text in transactions(before, _of(wanted, each), each):
                        await load(text)
            except CaptureFailed as error:
                self.failures += 1
                self._is_known = False
                log.warning("datagrams are not led to envoy", reason=str(error))
                return False
            self._held, self._held_shut, self._is_known = wanted, shut, True
            log.debug("datagrams led to envoy", ways=len(wanted), shut=sorted(shut))
        return wanted == told


def _of(ways: Ways, version: int) -> Ways:
    return {sent: door for sent, door in ways.items() if family(sent.address) == version}


def transactions(before: Ways | None, after: Ways, version: int) -> list[str]:
    """What makes of the map of `before` (None: nobody knows what is in it) that of `after`; texts for `nft -f -`."""
    held, name = before or {}, f"{FAMILIES[version].name} {TABLE} {DOORS_MAP}"
    gone = [sent for sent, door in sorted(held.items()) if after.get(sent) != door]
    new = [(sent, door) for sent, door in sorted(after.items()) if held.get(sent) != door]
    lines = [f"flush map {name}"] if before is None else []
    lines += [
        _elements("delete", name, [f"{each.address} . {each.port}" for each in part]) for part in _parts(gone)
    ]
    lines += [
        _elements("add", name, [f"{sent.address} . {sent.port} : {door}" for sent, door in part])
        for part in _parts(new)
    ]
    # All in one, unless there is more than the kernel takes at once.
    return ["\n".join(lines) + "\n"] if len(lines) <= 3 else [f"{line}\n" for line in lines]


def shutting(before: frozenset[int] | None, after: frozenset[int], version: int) -> list[str]:
    """What makes of the set of `before` (None: nobody knows what is in it) that of `after`; a text for `nft -f -`."""
    name = f"{FAMILIES[version].name} {TABLE} {SHUT_SET}"
    lines = [f"flush set {name}"] if before is None else []
    held = before or frozenset()
    for verb, ports in (("delete", held - after), ("add", after - held)):
        if ports:
            lines.append(f"{verb} element {name} {{ {', '.join(map(str, sorted(ports)))} }}")
    return ["\n".join(lines) + "\n"] if lines else []


def _parts(items: list[T]) -> list[list[T]]:
    return [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]


def _elements(verb: str, name: str, elements: list[str]) -> str:
    return f"{verb} element {name} {{ {', '.join(elements)} }}"


def bound_on_loopback(path: Path, version: int) -> frozenset[int]:
    """The ports of 127.0.0.1, or ::1, on which something waits for datagrams. Source: proc(5), /proc/net/udp."""
    try:
        lines = path.read_text().splitlines()[1:]
    except OSError:
        return frozenset()
    places = (line.split()[1].partition(":") for line in lines)
    return frozenset(int(port, 16) for address, _, port in places if address == _LOOPBACK[version])
