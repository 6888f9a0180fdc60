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

KINDS: tuple[Kind, ...] = (
    Kind(GROUP, ("v1", "v1beta1"), "GatewayClass", "gatewayclasses", GatewayClass, False, True, ("gc",)),
    Kind(GROUP, ("v1", "v1beta1"), "Gateway", "gateways", Gateway, True, True, ("gtw",)),
    Kind(GROUP, ("v1", "v1beta1"), "HTTPRoute", "httproutes", HTTPRoute, True, True),
    Kind(GROUP, ("v1", "v1alpha2"), "GRPCRoute", "grpcroutes", GRPCRoute, True, True),
    Kind(GROUP, ("v1", "v1alpha3", "v1alpha2"), "TLSRoute", "tlsroutes", TLSRoute, True, True),
    Kind(GROUP, ("v1alpha2", "v1"), "TCPRoute", "tcproutes", TCPRoute, True, True),
    Kind(
        GROUP,
        ("v1beta1", "v1"),
        "ReferenceGrant",
        "referencegrants",
        ReferenceGrant,
        True,
        True,
        ("refgrant",),
    ),
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
