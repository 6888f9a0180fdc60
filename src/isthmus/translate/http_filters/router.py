"""router: sends the request on; always last."""

from __future__ import annotations

from isthmus.api.istio.http_route import HTTPRoute
from isthmus.envoy.types import Any, EnvoyHttpFilter, Router
from isthmus.translate import proto

NAME = "envoy.filters.http.router"


def in_chain() -> EnvoyHttpFilter:
    return EnvoyHttpFilter(name=NAME, typed_config=proto.any_of(Router()))


def on_route(_: HTTPRoute, /) -> Any | None:
    """None: routes tell the router by what they are."""
    return None
