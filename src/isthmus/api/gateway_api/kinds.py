"""The kinds of the Gateway API, as the Kubernetes API names them."""

from __future__ import annotations

from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.gateway_api.reference import GROUP
from isthmus.api.gateway_api.reference_grant import ReferenceGrant
from isthmus.api.resource import Kind

_STABLE = ("v1", "v1beta1")
_BEFORE = ("v1alpha3", "v1alpha2")

KINDS: tuple[Kind, ...] = (
    Kind(GROUP, _STABLE, "GatewayClass", "gatewayclasses", GatewayClass, False, True, ("gc",)),
    Kind(GROUP, _STABLE, "Gateway", "gateways", Gateway, True, True, ("gtw",), shares_name=True),
    Kind(GROUP, _STABLE, "HTTPRoute", "httproutes", HTTPRoute, True, True),
    Kind(GROUP, ("v1", "v1alpha2"), "GRPCRoute", "grpcroutes", GRPCRoute, True, True),
    Kind(GROUP, ("v1", *_BEFORE), "TLSRoute", "tlsroutes", TLSRoute, True, True),
    Kind(GROUP, ("v1", "v1alpha2"), "TCPRoute", "tcproutes", TCPRoute, True, True),
    Kind(GROUP, _STABLE, "ReferenceGrant", "referencegrants", ReferenceGrant, True, True, ("refgrant",)),
    Kind(
        GROUP,
        ("v1", "v1alpha3"),
        "BackendTLSPolicy",
        "backendtlspolicies",
        BackendTLSPolicy,
        True,
        True,
        ("btlspolicy",),
    ),
)
