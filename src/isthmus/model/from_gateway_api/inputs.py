"""All that the conversion of the Gateway API may read, and what it makes of it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from isthmus.api.core.service import Service as CoreService
from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.gateway_api.kinds import KINDS
from isthmus.api.gateway_api.reference_grant import ReferenceGrant
from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.model.findings import Finding
from isthmus.model.from_gateway_api.reach import Name
from isthmus.model.from_gateway_api.status import AnyStatus
from isthmus.model.names import ServiceKey
from isthmus.model.origins import Origins
from isthmus.model.rules import age
from isthmus.model.service import Service

Route = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute
O = TypeVar("O", bound=Object)  # noqa: E741 - an object of any kind

CONTROLLER = "istio.io/gateway-controller"
"""By which a GatewayClass says that its gateways are ours."""
CLASS = "istio"
"""The class that is made for our gateways."""


_KINDS = {kind.type: kind for kind in KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The objects in any order, and what is known of those that they refer to."""

    classes: tuple[GatewayClass, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    routes: tuple[Route, ...] = ()
    grants: tuple[ReferenceGrant, ...] = ()
    policies: tuple[BackendTLSPolicy, ...] = ()
    services: Mapping[ServiceKey, Service] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # their labels
    certificates: Container[Name] = ()  # Secrets that hold a certificate and its key
    authorities: Container[Ref] = ()  # ConfigMaps and Secrets that hold a `ca.crt`
    own_services: Mapping[Name, CoreService] = field(default_factory=dict)  # of the Gateways' own cluster
    domain: str = "cluster.local"
    controller: str = CONTROLLER


class Converted(NamedTuple):
    """Istio's kinds that do the same, and what is told of each object; all in a fixed order."""

    gateways: tuple[GatewayConfig, ...]
    virtual_services: tuple[VirtualService, ...]
    destination_rules: tuple[DestinationRule, ...]
    origins: Mapping[Ref, Origins]  # of these, by their refs as Istio's kinds
    statuses: Mapping[Ref, AnyStatus]
    findings: tuple[Finding, ...]


def ref_of(found: Object) -> Ref:
    """The ref of a Gateway API object."""
    return _KINDS[type(found)].ref(found.metadata)


def by_age(found: Iterable[O]) -> tuple[O, ...]:
    """The oldest first; of equal age by namespace, name and kind."""
    return tuple(sorted(found, key=lambda each: (age(each), type(each).__name__)))
