"""Gateways and routes of the Gateway API: what their status cannot say, since nobody is there to write it."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.gateway import Gateway
from isthmus.api.gateway_api.grpc_route import GRPCRoute
from isthmus.api.gateway_api.http_route import HTTPRoute
from isthmus.api.gateway_api.reference import GROUP
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code, Severity
from isthmus.model.findings import Finding

_REFUSED = "Gateway.gateway.networking.k8s.io"
_WAYPOINT = "istio-waypoint"
"""The class that Istio makes for proxies before Services, in a mesh without sidecars."""


def are_no_waypoints(subject: Subject) -> Iterator[Finding]:
    """No Gateway is meant for a mesh without sidecars."""
    for found in subject.of(Gateway):
        if found.spec.gateway_class_name == _WAYPOINT:
            message = (
                "has no effect: this mesh has no waypoints, and the sidecars of callers do what routes say of Services "
                "(hint: leave it out)"
            )
            yield finding(found, "$.spec.gatewayClassName", message, Code.NO_EFFECT)


def have_parents(subject: Subject) -> Iterator[Finding]:
    """Each Gateway that a route names is there, be it this mesh's or somebody else's."""
    known = {(each.metadata.namespace, each.metadata.name) for each in subject.of(Gateway)}
    known |= {(ref.namespace, ref.name) for ref in subject.refused if ref.kind == _REFUSED}
    routes: tuple[HTTPRoute | GRPCRoute | TLSRoute | TCPRoute, ...] = (
        *subject.of(HTTPRoute),
        *subject.of(GRPCRoute),
        *subject.of(TLSRoute),
        *subject.of(TCPRoute),
    )
    for found in routes:
        for index, parent in enumerate(found.spec.parent_refs):
            where = (parent.namespace or found.metadata.namespace, parent.name)
            if (parent.group, parent.kind) == (GROUP, "Gateway") and where not in known:
                message = f"no Gateway of the Gateway API is called {'/'.join(where)}"
                at = f"$.spec.parentRefs[{index}].name"
                yield finding(found, at, message, Code.NOT_FOUND, Severity.WARNING)
