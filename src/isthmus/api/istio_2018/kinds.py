"""The kinds of 2018 that say where traffic goes; they are converted, not read by the mesh."""

from __future__ import annotations

from isthmus.api.istio_2018.destination_policy import DestinationPolicy
from isthmus.api.istio_2018.egress_rule import EgressRule
from isthmus.api.istio_2018.route_rule import RouteRule
from isthmus.api.istio_2018.service import GROUP
from isthmus.api.resource import Kind

KINDS: tuple[Kind, ...] = (
    Kind(GROUP, ("v1alpha2",), "RouteRule", "routerules", RouteRule),
    Kind(GROUP, ("v1alpha2",), "DestinationPolicy", "destinationpolicies", DestinationPolicy),
    Kind(GROUP, ("v1alpha2",), "EgressRule", "egressrules", EgressRule),
)
