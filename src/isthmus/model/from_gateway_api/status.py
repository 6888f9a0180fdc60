"""What is told of Gateway API objects in their status. Source: Gateway API reference, v1, status types.

`lastTransitionTime` is missing: whoever writes a status knows when it changed.
"""

from __future__ import annotations

import msgspec

from isthmus.api.gateway_api.gateway import RouteGroupKind
from isthmus.api.gateway_api.reference import ParentReference


class Status(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A status, or a part of one."""


class Condition(Status, frozen=True, kw_only=True):
    """One claim about an object: `status` is `True` or `False`."""

    type: str
    status: str
    reason: str
    message: str = ""
    observed_generation: int = 0


class SupportedFeature(Status, frozen=True, kw_only=True):
    """Something beyond the core that gateways of the class can do."""

    name: str


SUPPORTED_FEATURES = tuple(
    SupportedFeature(name=name)
    for name in (
        "BackendTLSPolicy",
        "BackendTLSPolicySANValidation",
        "GRPCRoute",
        "GRPCRouteNamedRouteRule",
        "Gateway",
        "GatewayAddressEmpty",
        "GatewayBackendClientCertificate",
        "GatewayFrontendClientCertificateValidation",
        "GatewayHTTPListenerIsolation",
        "GatewayInfrastructurePropagation",
        "GatewayPort8080",
        "HTTPRoute",
        "HTTPRoute303RedirectStatusCode",
        "HTTPRoute307RedirectStatusCode",
        "HTTPRoute308RedirectStatusCode",
        "HTTPRouteBackendProtocolH2C",
        "HTTPRouteBackendProtocolWebSocket",
        "HTTPRouteBackendRequestHeaderModification",
        "HTTPRouteBackendTimeout",
        "HTTPRouteCORS",
        "HTTPRouteDestinationPortMatching",
        "HTTPRouteHostRewrite",
        "HTTPRouteMethodMatching",
        "HTTPRouteNamedRouteRule",
        "HTTPRouteParentRefPort",
        "HTTPRoutePathRedirect",
        "HTTPRoutePathRewrite",
        "HTTPRoutePortRedirect",
        "HTTPRouteQueryParamMatching",
        "HTTPRouteRequestMirror",
        "HTTPRouteRequestMultipleMirrors",
        "HTTPRouteRequestPercentageMirror",
        "HTTPRouteRequestTimeout",
        "HTTPRouteResponseHeaderModification",
        "HTTPRouteSchemeRedirect",
        "Mesh",
        "MeshConsumerRoute",
        "MeshHTTPRouteBackendRequestHeaderModification",
        "MeshHTTPRouteQueryParamMatching",
        "MeshHTTPRouteRedirectPath",
        "MeshHTTPRouteRedirectPort",
        "MeshHTTPRouteRewritePath",
        "MeshHTTPRouteSchemeRedirect",
        "ReferenceGrant",
        "TCPRoute",
        "TLSRoute",
    )
)
"""Source: the feature names of the Gateway API's conformance tests, sorted as the specification wants them."""


class ClassStatus(Status, frozen=True, kw_only=True):
    """The status of a GatewayClass."""

    conditions: tuple[Condition, ...]
    supported_features: tuple[SupportedFeature, ...] = SUPPORTED_FEATURES


class GatewayStatusAddress(Status, frozen=True, kw_only=True):
    """An address at which a gateway is reached."""

    type: str
    value: str


class ListenerStatus(Status, frozen=True, kw_only=True):
    """What became of a listener."""

    name: str
    supported_kinds: tuple[RouteGroupKind, ...]
    attached_routes: int
    conditions: tuple[Condition, ...]


class GatewayStatus(Status, frozen=True, kw_only=True):
    """The status of a Gateway."""

    addresses: tuple[GatewayStatusAddress, ...] = ()
    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...]


class ParentStatus(Status, frozen=True, kw_only=True):
    """What became of a route at one of its parents."""

    parent_ref: ParentReference
    controller_name: str
    conditions: tuple[Condition, ...]


class RouteStatus(Status, frozen=True, kw_only=True):
    """The status of a route."""

    parents: tuple[ParentStatus, ...]


class AncestorStatus(Status, frozen=True, kw_only=True):
    """What became of a policy at one of the Gateways that it holds for."""

    ancestor_ref: ParentReference
    controller_name: str
    conditions: tuple[Condition, ...]


class PolicyStatus(Status, frozen=True, kw_only=True):
    """The status of a BackendTLSPolicy."""

    ancestors: tuple[AncestorStatus, ...]


def condition(type_: str, reason: str, message: str = "", *, holds: bool, generation: int) -> Condition:
    """A claim about an object of that generation."""
    return Condition(
        type=type_,
        status="True" if holds else "False",
        reason=reason,
        message=message,
        observed_generation=generation,
    )
