"""Envoy's HTTP filters, one module each; their order here is the order of the chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from isthmus.api.istio.http_route import HTTPRoute
from isthmus.envoy.types import Any, EnvoyHttpFilter
from isthmus.translate.guard import Checkpoint
from isthmus.translate.http_filters import asked_first, authorization, cors, fault, jwt_authn, router


class HttpFilter(Protocol):
    """What a module here must have."""

    NAME: str
    """Envoy's name of it, by which routes give it their own settings."""

    def in_chain(self) -> EnvoyHttpFilter:
        """The filter as every HTTP connection manager has it."""
        ...

    def on_route(self, route: HTTPRoute, /) -> Any | None:
        """Its settings for one route; None where the route says nothing of it."""
        ...


class Check(Protocol):
    """What a module has that looks at callers: it is only where calls arrive."""

    def in_chain(self, point: Checkpoint, /) -> Iterable[EnvoyHttpFilter]:
        """The filters by which the policies that hold there are kept; none where none hold."""
        ...


CHECKS: tuple[Check, ...] = (asked_first, jwt_authn, authorization)
"""First to last, and before `FILTERS`."""
FILTERS: tuple[HttpFilter, ...] = (fault, cors, router)
"""First to last. The router answers, so nothing after it would run."""


def checks(point: Checkpoint) -> Iterator[EnvoyHttpFilter]:
    """The filters that requests pass where they arrive, before all others."""
    for check in CHECKS:
        yield from check.in_chain(point)
