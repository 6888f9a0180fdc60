"""What is wrong with a PeerAuthentication by itself."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.peer_authentication import PeerAuthentication

_LARGEST_PORT = 65_535


def problems(found: PeerAuthentication) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    spec = found.spec
    labels = spec.selector.match_labels if spec.selector is not None else {}
    if labels:
        yield from texts.workloads("$.spec.selector.matchLabels", labels)
    if spec.port_level_mtls and not labels:
        yield (
            "$.spec.portLevelMtls",
            "stands without a selector, and workloads differ in their ports (hint: selector.matchLabels)",
        )
    for port in spec.port_level_mtls:
        if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _LARGEST_PORT):
            yield f"$.spec.portLevelMtls[{port}]", f"{port!r} is no port (hint: 1 to {_LARGEST_PORT})"
