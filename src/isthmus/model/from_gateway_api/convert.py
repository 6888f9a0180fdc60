"""The Gateway API in Istio's kinds, as columns of a sheet. Read this first: it says what follows from what.

Istio's objects, in the columns `MADE`, do what the objects of the Gateway API ask for; what is told of these stands
in the columns `TOLD`. The order of objects does not matter, and what is wrong takes as little away as the
specification allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.connection_route import TCPRoute, TLSRoute
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.gateway_api.reference_grant import ReferenceGrant
from isthmus.api.istio.gateway import GatewayConfig, GatewaySpec
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.resource import Meta, Object, Ref
from isthmus.kit.sheet import Cell, Column, Entries
from isthmus.model.from_gateway_api import attach, hostnames
from isthmus.model.from_gateway_api.attach import Attachment, Claim
from isthmus.model.from_gateway_api.backend_tls import BackendTls, backend_tls, targets
from isthmus.model.from_gateway_api.compile import compiled
from isthmus.model.from_gateway_api.gateway_routes import (
    Made,
    Word,
    closed,
    connections,
    rules_of_host,
)
from isthmus.model.from_gateway_api.http_filters import Site
from isthmus.model.from_gateway_api.http_rules import Rules
from isthmus.model.from_gateway_api.listeners import Door, DoorKey, doors
from isthmus.model.from_gateway_api.mesh_routes import rules_of_service
from isthmus.model.from_gateway_api.objects import (
    CLASS,
    CONTROLLER,
    GATEWAY,
    ROUTES,
    Route,
    by_age,
    ref_of,
)
from isthmus.model.from_gateway_api.reach import reach_of
from isthmus.model.from_gateway_api.references import ENTRIES, GRANTS, References, granted
from isthmus.model.from_gateway_api.route_status import accepted
from isthmus.model.from_gateway_api.told import class_told, gateway_told, policy_told, route_told
from isthmus.model.lookup import Lookup
from isthmus.model.names import ServiceKey, service_named
from isthmus.model.origins import Origins
from isthmus.model.rules import RUN_IN
from isthmus.model.told import Told

T = TypeVar("T", bound=Object)

MADE = ("configs", "rules of hosts", "connections", "closed", "rules of services", "rules of tls")
"""Columns of pairs of Istio's objects and their origins."""
TOLD = ("class told", "gateway told", "route told", "policy told")
"""Columns, by the ref of an object, of what is told of it."""


class GatewayApi:
    """The columns. Keys are refs, but where the column says otherwise."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup, self._look = lookup, lookup.look
        self._references = References(lookup)

    def columns(self) -> tuple[Column, ...]:
        """All of them, in their order."""
        return (
            Column("grants", self._grant, ("ReferenceGrant",), _granted),
            Column("entries", self._entry, ("ServiceEntry",), _has_hosts),
            Column("doors", self._doors, (GATEWAY,)),
            Column("door", self._door),  # by DoorKey
            Column("compiled", self._compiled),  # by route and Site
            Column("attached", self._attached, ROUTES, _claimed),
            Column("lost", self._lost, ("claimed",)),  # by DoorKey
            Column("settled", self._settled, ROUTES, _stands),
            Column("configs", self._configs, (GATEWAY,)),
            Column("rules of hosts", self._rules_of_host, ("at host",), self._called),  # by DoorKey and host
            Column(
                "connections", self._connections, ("for connections",), self._called
            ),  # by DoorKey and route
            Column("closed", self._closed, (GATEWAY,)),
            Column("rules of services", self._rules_of_service, ("at service",)),  # by ServiceKey
            Column("targets", self._targets, ("BackendTLSPolicy",), _targeted),
            Column("tls", self._tls, ("targeted",)),  # by ServiceKey
            Column("rules of tls", self._rules_of_tls, ("targeted",)),  # by ServiceKey
            Column("class told", self._class_told, ("GatewayClass",)),
            Column("gateway told", self._gateway_told, (GATEWAY,)),
            Column("route told", self._route_told, ROUTES),
            Column("policy told", self._policy_told, ("BackendTLSPolicy",)),
        )

    def _object(self, ref: Ref, kind: type[T]) -> T | None:
        found = self._lookup.object(ref)
        return found if isinstance(found, kind) else None

    def _grant(self, ref: Ref) -> ReferenceGrant | None:
        return self._object(ref, ReferenceGrant)

    def _entry(self, ref: Ref) -> tuple[str, ...] | None:
        entry = self._object(ref, ServiceEntry)
        return entry.spec.hosts if entry is not None else None

    def _doors(self, ref: Ref) -> Mapping[str, Door] | None:
        """The listeners of a Gateway of our classes."""
        gateway = self._object(ref, Gateway)
        if gateway is None:
            return None
        named = gateway.spec.gateway_class_name
        class_ = self._object(Ref("GatewayClass", "", named), GatewayClass)
        ours = named == CLASS if class_ is None else class_.spec.controller_name == CONTROLLER
        return {door.listener.name: door for door in doors(gateway, self._references)} if ours else None

    def _doors_of(self, gateway: Ref) -> Mapping[str, Door]:
        found: Mapping[str, Door] | None = self._look("doors", gateway)
        return found or {}

    def _door(self, key: DoorKey) -> Door | None:
        return self._doors_of(key.gateway).get(key.listener)

    def _route(self, ref: Ref) -> Route:
        return cast(Route, self._lookup.object(ref))

    def _compiled(self, key: tuple[Ref, Site]) -> Rules | None:
        route = self._lookup.object(key[0])
        return compiled(cast(Route, route), key[1], self._references) if route is not None else None

    def _rules(self, route: Route, site: Site) -> Rules:
        found: Rules = self._look("compiled", (ref_of(route), site))
        return found

    def _attached(self, ref: Ref) -> tuple[Attachment, ...] | None:
        route = self._lookup.object(ref)
        if route is None:
            return None
        rules = self._rules(cast(Route, route), Site())
        found = attach.attachments(cast(Route, route), lambda each: self._look("doors", each), self._lookup)
        return tuple(accepted(each, rules) for each in found)

    def _lost(self, key: DoorKey) -> Mapping[Ref, frozenset[str]] | None:
        return attach.lost(self._look("claimed", key)) or None

    def _settled(self, ref: Ref) -> tuple[Attachment, ...] | None:
        """What became of a route at its parents; older routes come first to what cannot be shared."""
        found: tuple[Attachment, ...] | None = self._look("attached", ref)
        if found is None:
            return None

        def gone(key: DoorKey) -> frozenset[str]:
            lost: Mapping[Ref, frozenset[str]] = self._look("lost", key) or {}
            return lost.get(ref, frozenset())

        return tuple(attach.settled(each, gone) for each in found)

    def _configs(self, ref: Ref) -> tuple[tuple[GatewayConfig, Origins], ...]:
        """A Gateway of Istio's for each listener that is run."""
        gateway = self._object(ref, Gateway)
        running = [(door, door.server) for door in self._doors_of(ref).values() if door.server is not None]
        if gateway is None or not running:
            return ()
        meta, reach = gateway.metadata, reach_of(gateway, self._lookup)
        found = []
        for door, server in running:
            made = GatewayConfig(
                metadata=Meta(
                    name=door.config_name,
                    namespace=meta.namespace,
                    annotations={RUN_IN: reach.namespace},
                    creation_timestamp=meta.creation_timestamp,
                ),
                spec=GatewaySpec(servers=(server,), selector=dict(reach.labels)),
            )
            found.append((made, Origins(door.origin)))
        return tuple(found)

    def _rules_of_host(self, key: tuple[DoorKey, str]) -> tuple[Made, ...]:
        at, host = key
        door: Door | None = self._look("door", at)
        if door is None:
            return ()
        words = {}
        for wide in hostnames.covering(host):
            found: Mapping[Ref, str] = self._look("at host", (at, wide))
            words[wide] = [Word(self._route(ref), word) for ref, word in found.items()]
        return _if_made(rules_of_host(door, host, words, self._rules))

    def _connections(self, key: tuple[DoorKey, Ref]) -> tuple[Made, ...]:
        at, ref = key
        door: Door | None = self._look("door", at)
        hosts: Mapping[Ref, attach.Hosts] = self._look("for connections", key)
        route = self._lookup.object(ref)
        if door is None or not hosts or not isinstance(route, TLSRoute | TCPRoute):
            return ()
        return _if_made(connections(door, route, hosts[ref], self._rules))

    def _closed(self, ref: Ref) -> tuple[Made, ...]:
        found = [closed(door) for door in self._doors_of(ref).values() if not self._has_routes(door)]
        return tuple(made for made in found if made is not None)

    def _has_routes(self, door: Door) -> bool:
        """Whether there are routes for just the hosts of the listener."""
        return bool(self._look("at host", (door.key, door.listener.hostname)))

    def _called(self, key: tuple[DoorKey, object], made: tuple[Made, ...]) -> Entries:
        """The services that a gateway calls."""
        for rule, _ in made:
            services = (service_named(each.host, self._lookup.domain) for each in rule.spec.destinations())
            for service in set(services) - {None}:
                yield Cell("called", service), key[0].gateway

    def _rules_of_service(self, key: ServiceKey) -> tuple[Made, ...]:
        service = self._lookup.service(key)
        found: Mapping[Ref, tuple[Attachment, ...]] = self._look("at service", key)
        routes = by_age(all_[0].route for all_ in found.values())
        attached = [each for route in routes for each in found[ref_of(route)]]
        if service is None or not attached:
            return ()
        return (rules_of_service(service, attached, self._rules),)

    def _targets(self, ref: Ref) -> Mapping[ServiceKey, tuple[int, ...]] | None:
        policy = self._object(ref, BackendTLSPolicy)
        return targets(policy, self._lookup) if policy is not None else None

    def _tls(self, key: ServiceKey) -> BackendTls | None:
        policies = [self._object(ref, BackendTLSPolicy) for ref in self._look("targeted", key)]
        service = self._lookup.service(key)
        called = set(self._look("called", key).values()) if service is not None else ()
        users = [self._object(ref, Gateway) for ref in called]
        found = by_age(each for each in policies if each is not None)
        return backend_tls(key, found, by_age(each for each in users if each is not None), self._references)

    def _rules_of_tls(self, key: ServiceKey) -> tuple[tuple[Object, Origins], ...]:
        found: BackendTls | None = self._look("tls", key)
        return found.rules if found is not None else ()

    def _class_told(self, ref: Ref) -> Told | None:
        found = self._object(ref, GatewayClass)
        if found is None or found.spec.controller_name != CONTROLLER:
            return None
        return class_told(found)

    def _gateway_told(self, ref: Ref) -> Told | None:
        gateway, found = self._object(ref, Gateway), self._look("doors", ref)
        if gateway is None or found is None:
            return None
        counts = {name: len(self._look("on door", door.key)) for name, door in found.items()}
        return gateway_told(gateway, tuple(found.values()), counts, self._references)

    def _route_told(self, ref: Ref) -> Told | None:
        """Of a route that is attached to nothing of ours that is told, too: it may have been."""
        found: tuple[Attachment, ...] | None = self._look("settled", ref)
        if found is None:
            return None
        route = self._route(ref)
        return route_told(route, found, self._rules(route, Site()))

    def _policy_told(self, ref: Ref) -> Told | None:
        policy = self._object(ref, BackendTLSPolicy)
        if policy is None:
            return None
        found: list[BackendTls] = [self._look("tls", key) for key in self._look("targets", ref)]
        return policy_told(policy, [each.told[ref] for each in found])


def _granted(_: Ref, grant: ReferenceGrant) -> Entries:
    for key in granted(grant):
        yield Cell(GRANTS, key), True


def _has_hosts(_: Ref, hosts: tuple[str, ...]) -> Entries:
    for host in hosts:
        yield Cell(ENTRIES, host), True


def _claimed(_: Ref, found: tuple[Attachment, ...]) -> Entries:
    claims: Mapping[DoorKey, Claim] = attach.claims(found)
    for door, claim in claims.items():
        yield Cell("claimed", door), claim


def _stands(ref: Ref, found: tuple[Attachment, ...]) -> Entries:
    """Where the route stands: a route that names a listener twice stands there once."""
    for door, hosts in {
        door.key: (door, hosts) for each in reversed(found) for door, hosts in each.doors
    }.values():
        yield Cell("on door", door.key), True
        if door.protocol in {"HTTP", "HTTPS"}:
            for host, word in hosts:
                yield Cell("at host", (door.key, host)), word
        else:
            yield Cell("for connections", (door.key, ref)), hosts
    services: dict[ServiceKey, tuple[Attachment, ...]] = {}
    for each in found:
        for service in each.services:
            services[service.key] = (*services.get(service.key, ()), each)
    for key, attached in services.items():
        yield Cell("at service", key), attached


def _targeted(_: Ref, found: Mapping[ServiceKey, tuple[int, ...]]) -> Entries:
    for key, numbers in found.items():
        yield Cell("targeted", key), numbers


def _if_made(found: Made | None) -> tuple[Made, ...]:
    return (found,) if found is not None else ()
