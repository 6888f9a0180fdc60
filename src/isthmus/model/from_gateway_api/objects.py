"""The objects of the Gateway API: what their refs are, which are ours, and which come first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.resource import Object, Ref
from isthmus.model.rules import age

Route = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute
T = TypeVar("T", bound=Object)

CONTROLLER = "istio.io/gateway-controller"
"""By which a GatewayClass says that its gateways are ours."""
CLASS = "istio"
"""The class that is made for our gateways. It is ours, too, as long as there is no class of that name."""
GATEWAY = "Gateway.gateway.networking.k8s.io"
"""By which refs name the Gateway of the Gateway API."""
ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")

_KINDS = {kind.type: kind for kind in KINDS}


def ref_of(found: Object) -> Ref:
    """The ref of a Gateway API object."""
    return _KINDS[type(found)].ref(found.metadata)


def by_age(found: Iterable[T]) -> tuple[T, ...]:
    """The oldest first; of equal age by namespace, name and kind."""
    return tuple(sorted(found, key=lambda each: (age(each), type(each).__name__)))
