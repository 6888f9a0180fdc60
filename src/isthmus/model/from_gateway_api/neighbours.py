"""Listeners that share a port of a Gateway: which cannot be told apart, and whose hosts are whose.

Source: Gateway API reference, "Distinct Listeners" and OverlappingTLSConfig.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.api.gateway_api.gateway import Listener
from isthmus.model.from_gateway_api import hostnames
from isthmus.model.from_gateway_api.references import Doubt

FAMILIES = {"HTTP": "HTTP", "HTTPS": "TLS", "TLS": "TLS", "TCP": "TCP"}
"""Protocols of one family can share a port: their requests or connections say the host."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the other listeners of its Gateway mean for one."""

    conflict: Doubt | None = None  # it cannot be told from another: then neither of both is run
    narrower: frozenset[str] = frozenset()  # hosts among its own that others of the port have for themselves
    is_narrower: bool = False  # it has hosts for itself that would be another's
    overlaps: tuple[str, ...] = ()  # listeners of the port whose TLS settings its clients might meet


def neighbours(listeners: Sequence[Listener]) -> tuple[Around, ...]:
    """What stands around each of `listeners`."""
    ports: dict[int, list[int]] = defaultdict(list)
    for index, listener in enumerate(listeners):
        ports[listener.port].append(index)
    found: dict[int, Around] = {}
    for indices in ports.values():
        found |= _on_port(listeners, indices)
    return tuple(found[index] for index in range(len(listeners)))


def _on_port(listeners: Sequence[Listener], indices: Sequence[int]) -> dict[int, Around]:
    by_host: dict[tuple[str, str], list[int]] = defaultdict(list)
    families: dict[str, list[int]] = defaultdict(list)
    for index in indices:
        family = family_of(listeners[index])
        by_host[family, _host(listeners[index])].append(index)
        families[family].append(index)
    narrower: dict[int, list[int]] = defaultdict(list)
    wider: dict[int, list[int]] = defaultdict(list)
    for (family, host), own in by_host.items():
        for wide in list(hostnames.covering(host))[1:]:
            for other in by_host.get((family, wide), ()):
                narrower[other] += own
                for index in own:
                    wider[index].append(other)
    found = {}
    for index in indices:
        listener = listeners[index]
        family = family_of(listener)
        same = [each for each in by_host[family, _host(listener)] if each != index]
        strange = [each for other, all_ in families.items() if _clash(family, other) for each in all_]
        conflict = _conflict(listeners, index, min(same + strange, default=None))
        meeting = sorted({*same, *narrower[index], *wider[index]})
        overlaps = [
            listeners[each].name
            for each in meeting
            if {listener.protocol.upper(), listeners[each].protocol.upper()} == {"HTTPS"}
        ]
        found[index] = Around(
            conflict=conflict,
            narrower=frozenset(listeners[each].hostname for each in narrower[index]),
            is_narrower=bool(wider[index]),
            overlaps=tuple(overlaps) if conflict is None else (),
        )
    return found


def _clash(one: str, other: str) -> bool:
    return one != other and "UDP" not in {one, other}


def _host(listener: Listener) -> str:
    return hostnames.ALL if family_of(listener) == "TCP" else listener.hostname


def _conflict(listeners: Sequence[Listener], index: int, with_: int | None) -> Doubt | None:
    """Why it cannot be told from another listener, the first in the Gateway's order."""
    if with_ is None:
        return None
    listener, other, at = listeners[index], listeners[with_], f"$.spec.listeners[{index}]"
    if family_of(other) != family_of(listener):
        message = f"port {listener.port} is for {other.protocol} in {other.name} (hint: another port)"
        return Doubt("ProtocolConflict", f"{at}.protocol", message)
    what = listener.hostname or "all hosts"
    message = f"{other.name} listens on port {listener.port} for {what}, too (hint: one of both suffices)"
    if other.protocol.upper() != listener.protocol.upper():
        return Doubt("ProtocolConflict", f"{at}.protocol", message)
    return Doubt("HostnameConflict", f"{at}.hostname", message)


def family_of(listener: Listener) -> str:
    """The family of its protocol; a protocol that nobody knows is a family of its own."""
    return FAMILIES.get(listener.protocol.upper(), listener.protocol)
