"""Ports of pods that their annotations keep from the sidecar: nobody there speaks TLS, or asks who calls.

Source: Istio's annotations `traffic.sidecar.istio.io/*`. What one says that is no port is none here either.
"""

from __future__ import annotations

from collections.abc import Collection

from isthmus.api.core.pod import Pod

INCLUDED = "traffic.sidecar.istio.io/includeInboundPorts"
EXCLUDED = "traffic.sidecar.istio.io/excludeInboundPorts"
_ALL = "*"


def uncaptured(pod: Pod, numbers: Collection[int]) -> tuple[int, ...]:
    """Those of `numbers` at which calls reach the application without its sidecar, sorted."""
    said = pod.metadata.annotations
    if INCLUDED not in said and EXCLUDED not in said:
        return ()
    included, excluded = said.get(INCLUDED, _ALL).strip(), named_ports(said.get(EXCLUDED, ""))
    passing = excluded if included == _ALL else excluded.union(set(numbers) - named_ports(included))
    return tuple(sorted(passing.intersection(numbers)))


def named_ports(text: str) -> frozenset[int]:
    """The ports that an annotation lists."""
    parts = (part.strip() for part in text.split(","))
    return frozenset(int(part) for part in parts if part.isascii() and part.isdecimal())
