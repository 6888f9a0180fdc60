"""Which routes are attached to which listeners and Services, and why others are not.

Source: Gateway API reference, ParentReference, AllowedRoutes, and the routes' `hostnames`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from isthmus.api.gateway_api.connection_route import TCPRoute
from isthmus.api.gateway_api.reference import GROUP, ParentReference
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.resource import Ref
from isthmus.model.from_gateway_api import hostnames
from isthmus.model.from_gateway_api.listeners import Door, DoorKey
from isthmus.model.from_gateway_api.objects import GATEWAY, Route
from isthmus.model.from_gateway_api.references import Doubt, Group
from isthmus.model.lookup import Lookup
from isthmus.model.names import Hostname, ServiceKey
from isthmus.model.rules import age
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
    services: tuple[Service, ...] = ()  # several where a ServiceEntry has several hosts
    ports: tuple[int, ...] = ()  # of the services; empty: all
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
        return any(each.key.namespace != self.route.metadata.namespace for each in self.services)

    def refuse(self, reason: str, message: str) -> Attachment:
        """The same, attached to nothing."""
        return replace(self, doors=(), services=(), refused=Doubt(reason, self.path, message))


Doors = Callable[[Ref], Mapping[str, Door] | None]
"""The listeners of a Gateway by their names; None for a Gateway that is not ours."""


def attachments(route: Route, doors: Doors, lookup: Lookup) -> Iterator[Attachment]:
    """One for each parent that is ours, in the route's order. Of other parents nothing is known."""
    for index, ref in enumerate(route.spec.parent_refs):
        bare = Attachment(route, index, ref)
        namespace = ref.namespace or route.metadata.namespace
        if (ref.group, ref.kind) == (GROUP, "Gateway"):
            found = doors(Ref(GATEWAY, namespace, ref.name))
            if found is not None:
                yield _at_gateway(bare, found, lookup)
        elif (ref.group, ref.kind) in {(Group.CORE, "Service"), (Group.ISTIO, "ServiceEntry")}:
            yield _at_services(bare, _services(ref, namespace, lookup))


def _at_gateway(bare: Attachment, found: Mapping[str, Door], lookup: Lookup) -> Attachment:
    ref, route = bare.ref, bare.route
    meant = found.values() if not ref.section_name else filter(None, (found.get(ref.section_name),))
    named = [door for door in meant if ref.port in {None, door.listener.port}]
    if not named:
        has = _some(f"{door.listener.name} on {door.listener.port}" for door in found.values())
        return bare.refuse("NoMatchingParent", f"{ref.name} has no such listener (hint: it has {has})")
    open_ = [door for door in named if bare.kind in door.kinds and _lets_in(door, route, lookup)]
    if not open_:
        namespace = route.metadata.namespace
        message = f"no listener of {ref.name} takes {bare.kind}s of {namespace} (hint: see allowedRoutes)"
        return bare.refuse("NotAllowedByListeners", message)
    doors = tuple((door, hosts) for door in open_ if (hosts := _hosts(door, route)))
    if not doors:
        has = _some(door.listener.hostname for door in open_)
        message = f"no listener of {ref.name} is for a host of the route (hint: they are for {has})"
        return bare.refuse("NoMatchingListenerHostname", message)
    return replace(bare, doors=doors)


def _some(names: Iterable[str]) -> str:
    """The first of many: a Gateway may have dozens of listeners."""
    known = list(names)
    more = [f"and {len(known) - _MOST} more"] if len(known) > _MOST else []
    return ", ".join([*known[:_MOST], *more])


_MOST = 5


def _lets_in(door: Door, route: Route, lookup: Lookup) -> bool:
    allowed, namespace = door.listener.allowed_routes.namespaces, route.metadata.namespace
    match allowed.from_:
        case "All":
            return True
        case "Same":
            return namespace == door.gateway.metadata.namespace
        case "Selector" if allowed.selector is not None:
            return allowed.selector.selects(lookup.labels(namespace))
    return False


def _hosts(door: Door, route: Route) -> Hosts:
    if isinstance(route, TCPRoute):
        return ((door.listener.hostname, hostnames.ALL),)
    return hostnames.shared(door.listener.hostname, route.spec.hostnames)


def _services(ref: ParentReference, namespace: str, lookup: Lookup) -> tuple[Service, ...]:
    """The Service, or those that are made of a ServiceEntry: one for each of its hosts."""
    if ref.kind == "Service":
        keys = [lookup.service_key(namespace, ref.name)]
    else:
        entry = lookup.object(Ref(ref.kind, namespace, ref.name))
        hosts = entry.spec.hosts if isinstance(entry, ServiceEntry) else ()
        keys = [ServiceKey(namespace, Hostname(host)) for host in hosts]
    return tuple(service for key in keys if (service := lookup.service(key)) is not None)


def _at_services(bare: Attachment, services: tuple[Service, ...]) -> Attachment:
    ref = bare.ref
    if not services:
        where = " in any cluster" if ref.kind == "Service" else ""
        return bare.refuse("NoMatchingParent", f"no {ref.kind} {ref.name}{where}")
    found = services[0].ports
    ports = tuple(port.number for port in found if _is_meant(port, ref))
    if not ports:
        has = ", ".join(f"{port.name or 'unnamed'} {port.number}" for port in found)
        return bare.refuse("NoMatchingParent", f"{ref.name} has no such port (hint: it has {has})")
    whole = not ref.section_name and ref.port is None
    if not whole and any(each.key.hostname.startswith("*") for each in services):
        # What comes to the other ports would have to go on to the host that it is for, whichever that is.
        message = f"names one port of {ref.name}, which has a wildcard host (hint: leave the port out)"
        return bare.refuse("UnsupportedValue", message)
    return replace(bare, services=services, ports=() if whole else ports)


def _is_meant(port: Port, ref: ParentReference) -> bool:
    named = ref.section_name in {"", port.name} and ref.port in {None, port.number}
    return named and port.protocol is not Protocol.UDP


class Claim(NamedTuple):
    """That a route wants requests or connections of a listener: sorts the older first."""

    age: tuple[str, str, str]
    hosts: frozenset[str]


def claims(found: Iterable[Attachment]) -> Mapping[DoorKey, Claim]:
    """What the attachments of one route want of each listener."""
    hosts: dict[DoorKey, frozenset[str]] = defaultdict(frozenset)
    ages = {}
    for each in found:
        for door, own in each.doors:
            hosts[door.key] |= {host for host, _ in own}
            ages[door.key] = age(each.route)
    return {key: Claim(ages[key], all_) for key, all_ in hosts.items()}


def lost(claimed: Mapping[Ref, Claim]) -> Mapping[Ref, frozenset[str]]:
    """The hosts that routes of one listener do not get, because an older one has what cannot be shared.

    Requests for a host are for HTTPRoutes or for GRPCRoutes; connections by a server name are for one TLSRoute,
    and all those of a TCP listener for one TCPRoute.
    """
    kinds = {ref.kind for ref in claimed}
    if len(kinds) == 1 and kinds <= _SHARING:
        return {}
    found: dict[Ref, frozenset[str]] = {}
    taken: dict[str, dict[str, None]] = {kind: {} for kind in kinds}
    for ref, (_, hosts) in sorted(claimed.items(), key=lambda each: (each[1].age, each[0].kind)):
        if ref.kind in _SHARING:
            others = [own for kind, own in taken.items() if kind != ref.kind]
            meet = any(hostnames.meets(host, own) for host in hosts for own in others)
            gone = hosts if meet else frozenset()
        else:
            gone = hosts & taken[ref.kind].keys()
        if gone:
            found[ref] = frozenset(gone)
        taken[ref.kind] |= dict.fromkeys(hosts - gone)
    return found


_SHARING = {"HTTPRoute", "GRPCRoute"}
"""Kinds of which several routes may have a host together."""


def settled(found: Attachment, gone: Callable[[DoorKey], frozenset[str]]) -> Attachment:
    """`found` without the hosts that are `gone` to older routes."""
    if not found.doors:
        return found
    left = tuple(
        (door, kept)
        for door, hosts in found.doors
        if (kept := tuple(each for each in hosts if each[0] not in gone(door.key)))
    )
    if left:
        return replace(found, doors=left)
    message = "an older route has the same hosts, which it cannot share (hint: other hosts, or one route)"
    return found.refuse("Conflicted", message)
