"""Consistent hashing: by what of a request its endpoint is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.api.istio.http_route import HTTPRouteDestination
from isthmus.api.istio.load_balancer import ConsistentHash
from isthmus.envoy.types import RouteAction
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.destinations import Destinations


def hash_policies(
    shares: Sequence[HTTPRouteDestination], destinations: Destinations, listener_port: int
) -> list[RouteAction.HashPolicy]:
    """The policy of the first destination that has one: a route has one for all its shares."""
    for share in shares:
        hashing = destinations.policy(share.destination, listener_port).consistent_hash
        if hashing is not None:
            return [hash_policy(hashing)]
    return []


def hash_policy(hashing: ConsistentHash) -> RouteAction.HashPolicy:
    """What of a request, or of its connection, is hashed."""
    policy = RouteAction.HashPolicy()
    if hashing.http_header_name is not None:
        policy.header.header_name = hashing.http_header_name
    elif hashing.http_cookie is not None:
        cookie = hashing.http_cookie
        policy.cookie.name, policy.cookie.path = cookie.name, cookie.path
        if cookie.ttl:
            policy.cookie.ttl.CopyFrom(proto.seconds(duration.parse(cookie.ttl)))
        for attribute in cookie.attributes:
            policy.cookie.attributes.add(name=attribute["name"], value=attribute.get("value", ""))
    elif hashing.http_query_parameter_name is not None:
        policy.query_parameter.name = hashing.http_query_parameter_name
    else:
        policy.connection_properties.source_ip = True
    return policy
