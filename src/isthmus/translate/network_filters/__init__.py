"""Envoy's network filters, one module each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from isthmus.envoy.types import Filter
from isthmus.translate.guard import Checkpoint
from isthmus.translate.network_filters import authorization


class Check(Protocol):
    """What a module has that looks at callers of which only the connection is known."""

    def in_chain(self, point: Checkpoint, /) -> Iterable[Filter]:
        """The filters by which the policies that hold there are kept; none where none hold."""
        ...


CHECKS: tuple[Check, ...] = (authorization,)
"""First to last; then the filter that passes the bytes on."""


def checks(point: Checkpoint) -> Iterator[Filter]:
    """The filters that connections pass where they arrive, before their bytes are passed on."""
    for check in CHECKS:
        yield from check.in_chain(point)
