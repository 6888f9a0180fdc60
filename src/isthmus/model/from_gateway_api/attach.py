"""Which routes are attached to which listeners and Services, and why others are not.

Source: Gateway API reference, ParentReference, AllowedRoutes, and the routes' `hostnames`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.reference import GROUP, ParentReference
from isthmus.model.from_gateway_api import hostnames
from isthmus.model.from_gateway_api.inputs import Inputs, Route
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.from_gateway_api.reach import Name
from isthmus.model.from_gateway_api.references import Doubt
from isthmus.model.names import ServiceKey, kubernetes_hostname
from isthmus.model.service import Port, Protocol, Service

Hosts = tuple[tuple[str, str], ...]
"""Hosts that a route is for, each with the route's own word for it."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A route at one of its parents: at some listeners of a Gateway, or at some ports of a Service."""

    route: Route
    index: int  # of the reference to the parent
    ref: ParentReference
    doors: tuple[tuple[Door, Hosts], ...] = ()
    service: Service | None = None
    ports: tuple[int, ...] = ()  # of the service; empty: all
    refused: Doubt | None = None

    @property
    def path(self) -> str:
        return f"$.spec.parentRefs[{self.index}]"

    @property
    def kind(self) -> str:
        return type(self.route).__name__

    @property
    def is_consumer(self) -> bool:
        """Whether it is for those who call the service from the route's own namespace only."""
        return self.service is not None and self.service.key.namespace != self.route.metadata.namespace

    def refuse(self, reason: str, message: str) -> Attachment:
        """The same, attached to nothing."""
        return replace(self, doors=(), service=None, refused=Doubt(reason, self.path, message))


def attachments(
    route: Route, gateways: Mapping[Name, tuple[Door, ...]], inputs: Inputs
) -> Iterator[Attachment]:
    """One for each parent that is ours, in the route's order. Of other parents nothing is known."""
    for index, ref in enumerate(route.spec.parent_refs):
        bare = Attachment(route, index, ref)
        namespace = ref.namespace or route.metadata.namespace
        if (ref.group, ref.kind) == (GROUP, "Gateway"):
            found = gateways.get((namespace, ref.name))
            if found is not None:
                yield _at_gateway(bare, found, inputs)
        elif (ref.group, ref.kind) == ("", "Service"):
            key = ServiceKey(namespace, kubernetes_hostname(ref.name, namespace, inputs.domain))
            yield _at_service(bare, inputs.services.get(key))


def _at_gateway(bare: Attachment, found: Sequence[Door], inputs: Inputs) -> Attachment:
    ref, route = bare.ref, bare.route
    named = [
        door
        for door in found
        if ref.section_name in {"", door.listener.name} and ref.port in {None, door.listener.port}
    ]
    if not named:
        has = ", ".join(f"{door.listener.name} on {door.listener.port}" for door in found)
        return bare.refuse("NoMatchingParent", f"{ref.name} has no such listener (hint: it has {has})")
    open_ = [door for door in named if bare.kind in door.kinds and _lets_in(door, route, inputs)]
    if not open_:
        namespace = route.metadata.namespace
        message = f"no listener of {ref.name} takes {bare.kind}s of {namespace} (hint: see allowedRoutes)"
        return bare.refuse("NotAllowedByListeners", message)
    doors = tuple((door, hosts) for door in open_ if (hosts := _hosts(door, route)))
    if not doors:
        has = ", ".join(door.listener.hostname for door in open_)
        message = f"no listener of {ref.name} is for a host of the route (hint: they are for {has})"
        return bare.refuse("NoMatchingListenerHostname", message)
    return replace(bare, doors=doors)


def _lets_in(door: Door, route: Route, inputs: Inputs) -> bool:
    allowed, namespace = door.listener.allowed_routes.namespaces, route.metadata.namespace
    match allowed.from_:
        case "All":
            return True
        case "Same":
            return namespace == door.gateway.metadata.namespace
        case "Selector" if allowed.selector is not None:
            return allowed.selector.selects(inputs.namespaces.get(namespace, {}))
    return False


def _hosts(door: Door, route: Route) -> Hosts:
    if isinstance(route, TCPRoute):
        return ((door.listener.hostname, hostnames.ALL),)
    return hostnames.shared(door.listener.hostname, route.spec.hostnames)


def _at_service(bare: Attachment, service: Service | None) -> Attachment:
    ref = bare.ref
    if service is None:
        return bare.refuse("NoMatchingParent", f"no Service {ref.name} in any cluster")
    ports = tuple(port.number for port in service.ports if _is_meant(port, ref))
    if not ports:
        has = ", ".join(f"{port.name or 'unnamed'} {port.number}" for port in service.ports)
        return bare.refuse("NoMatchingParent", f"{ref.name} has no such port (hint: it has {has})")
    whole = not ref.section_name and ref.port is None
    return replace(bare, service=service, ports=() if whole else ports)


def _is_meant(port: Port, ref: ParentReference) -> bool:
    named = ref.section_name in {"", port.name} and ref.port in {None, port.number}
    return named and port.protocol is not Protocol.UDP


_Owner = Name
"""The route that came first."""


@dataclass(slots=True)
class Claims:
    """Who came first to the hosts of each listener: call it for attachments by the age of their routes."""

    _taken: dict[tuple[str, str], dict[str, dict[str, _Owner]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )  # by listener, kind of routes and host

    def settle(self, found: Attachment) -> Attachment:
        """`found` without what an older route has that it cannot share.

        Requests for a host are for HTTPRoutes or for GRPCRoutes; connections by a server name are for one
        TLSRoute, and all those of a TCP listener for one TCPRoute.
        """
        if not found.doors:
            return found
        kept = tuple((door, hosts) for door, all_ in found.doors if (hosts := self._claim(found, door, all_)))
        if kept:
            return replace(found, doors=kept)
        message = "an older route has the same hosts, which it cannot share (hint: other hosts, or one route)"
        return found.refuse("Conflicted", message)

    def _claim(self, found: Attachment, door: Door, hosts: Hosts) -> Hosts:
        taken = self._taken[door.key]
        own = (found.route.metadata.namespace, found.route.metadata.name)
        mine = taken[found.kind]
        if isinstance(found.route, TCPRoute):
            kept = hosts if set(mine.values()) <= {own} else ()
        elif isinstance(found.route, TLSRoute):
            kept = tuple(each for each in hosts if mine.get(each[0], own) == own)
        else:
            others = [claimed for kind, claimed in taken.items() if kind != found.kind]
            meet = any(hostnames.meets(host, claimed) for host, _ in hosts for claimed in others)
            kept = () if meet else hosts
        for host, _ in kept:
            mine.setdefault(host, own)
        return kept


ByDoor = Mapping[tuple[str, str], Sequence[tuple[Route, Hosts]]]
"""The routes that are attached to each listener, by its key."""


def by_door(found: Iterable[Attachment]) -> ByDoor:
    """What is attached to each listener; a route that names one twice stands there once."""
    made: dict[tuple[str, str], dict[tuple[str, str, str], tuple[Route, Hosts]]] = defaultdict(dict)
    for each in found:
        meta = each.route.metadata
        for door, hosts in each.doors:
            made[door.key].setdefault((each.kind, meta.namespace, meta.name), (each.route, hosts))
    return {key: tuple(routes.values()) for key, routes in made.items()}
