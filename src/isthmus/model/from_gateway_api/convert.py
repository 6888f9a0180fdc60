"""The Gateway API in Istio's kinds. Read this first: it says in which order things are found out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.gateway import Gateway
from isthmus.api.istio.gateway import GatewayConfig, GatewaySpec
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Meta, Object, Ref
from isthmus.model.findings import Finding, Severity
from isthmus.model.from_gateway_api.attach import Attachment, ByDoor, Claims, attachments, by_door
from isthmus.model.from_gateway_api.backend_tls import BackendTls, backend_tls
from isthmus.model.from_gateway_api.compile import Compiler, Remembered
from isthmus.model.from_gateway_api.gateway_routes import virtual_services
from isthmus.model.from_gateway_api.gateway_status import client_certificate, gateway_doubt, gateway_status
from isthmus.model.from_gateway_api.inputs import (
    CLASS,
    Converted,
    Inputs,
    Route,
    by_age,
    ref_of,
)
from isthmus.model.from_gateway_api.listeners import Door, doors
from isthmus.model.from_gateway_api.mesh_routes import mesh_virtual_services
from isthmus.model.from_gateway_api.reach import Name, reach_of
from isthmus.model.from_gateway_api.references import Doubt, Grants, References
from isthmus.model.from_gateway_api.route_status import accepted, route_status
from isthmus.model.from_gateway_api.status import AnyStatus, ClassStatus, condition
from isthmus.model.names import ServiceKey, service_named
from isthmus.model.origins import Origins
from isthmus.model.rules import RUN_IN


def convert(inputs: Inputs, remembered: Remembered | None = None) -> Converted:
    """Istio's kinds that do what the objects of the Gateway API ask for, and what is told of these.

    The order of the inputs does not matter. What is wrong takes as little away as the specification allows.
    """
    references = References(inputs, Grants(inputs.grants))
    gateways = tuple(_ours(inputs))
    by_gateway = {_name(each): doors(each, references) for each in gateways}
    compiler = Compiler(references, remembered)
    attached = _attached(inputs, by_gateway, compiler)
    found = [each for all_ in attached.values() for each in all_]
    inside = by_door(found)
    configs = [made for each in gateways for made in _configs(each, by_gateway[_name(each)], inputs)]
    rules = [
        made
        for each in gateways
        if gateway_doubt(each) is None
        for door in by_gateway[_name(each)]
        for made in virtual_services(door, by_gateway[_name(each)], inside.get(door.key, ()), compiler)
    ]
    users = _users(gateways, by_gateway, [rule for rule, _ in rules], inputs)
    tls = backend_tls(by_age(inputs.policies), users, references)
    rules.extend(mesh_virtual_services(found, compiler))
    world = _World(references, by_gateway, attached, inside, compiler, tls)
    return Converted(
        gateways=tuple(made for made, _ in configs),
        virtual_services=tuple(made for made, _ in rules),
        destination_rules=tuple(made for made, _ in tls.rules),
        origins={
            Ref(kind, *_name(made)): origins
            for kind, all_ in (
                ("Gateway", configs),
                ("VirtualService", rules),
                ("DestinationRule", tls.rules),
            )
            for made, origins in all_
        },
        statuses=dict(sorted(_statuses(world))),
        findings=tuple(_findings(world)),
    )


@dataclass(frozen=True, slots=True)
class _World:
    """All that was found out."""

    references: References
    doors: Mapping[Name, tuple[Door, ...]]
    attached: Mapping[Ref, tuple[Attachment, ...]]
    inside: ByDoor
    compiler: Compiler
    tls: BackendTls

    @property
    def gateways(self) -> tuple[Gateway, ...]:
        return by_age(each for each in self.references.inputs.gateways if _name(each) in self.doors)


def _name(found: Object) -> Name:
    return found.metadata.namespace, found.metadata.name


def _ours(inputs: Inputs) -> Iterator[Gateway]:
    """The Gateways of our classes. `istio` is ours, too, as long as there is no class of that name."""
    by_name = {each.metadata.name: each.spec.controller_name for each in inputs.classes}
    by_name.setdefault(CLASS, inputs.controller)
    gateways = by_age(inputs.gateways)
    return (each for each in gateways if by_name.get(each.spec.gateway_class_name) == inputs.controller)


def _attached(
    inputs: Inputs, by_gateway: Mapping[Name, tuple[Door, ...]], compiler: Compiler
) -> Mapping[Ref, tuple[Attachment, ...]]:
    """What became of each route at its parents; older routes come first to what cannot be shared."""
    claims = Claims()
    found = {}
    for route in by_age(inputs.routes):
        all_ = (accepted(each, compiler.rules(route)) for each in attachments(route, by_gateway, inputs))
        found[ref_of(route)] = tuple(claims.settle(each) for each in all_)
    return found


def _configs(
    gateway: Gateway, found: Sequence[Door], inputs: Inputs
) -> Iterator[tuple[GatewayConfig, Origins]]:
    """A Gateway of Istio's for each listener that is run."""
    meta = gateway.metadata
    if gateway_doubt(gateway) is not None:
        return
    reach = reach_of(gateway, inputs.own_services, inputs.domain)
    for door in found:
        if door.server is not None:
            made = GatewayConfig(
                metadata=Meta(
                    name=door.config_name,
                    namespace=meta.namespace,
                    annotations={RUN_IN: reach.namespace},
                    creation_timestamp=meta.creation_timestamp,
                ),
                spec=GatewaySpec(servers=(door.server,), selector=dict(reach.labels)),
            )
            yield made, Origins(door.origin)


def _users(
    gateways: Iterable[Gateway],
    by_gateway: Mapping[Name, tuple[Door, ...]],
    rules: Iterable[VirtualService],
    inputs: Inputs,
) -> Mapping[ServiceKey, Sequence[Gateway]]:
    """The gateways that call each service."""
    called: dict[str, set[str]] = defaultdict(set)  # hosts, by the names of Istio's Gateways
    for rule in rules:
        for bound in rule.spec.gateways:
            called[bound] |= set(_called(rule))
    users: dict[ServiceKey, list[Gateway]] = defaultdict(list)
    for gateway in gateways:
        namespace, _ = _name(gateway)
        hosts: set[str] = set()
        for door in by_gateway[_name(gateway)]:
            hosts |= called.get(f"{namespace}/{door.config_name}", set())
        keys = (service_named(host, inputs.domain) for host in hosts)
        for key in sorted(key for key in keys if key is not None and key in inputs.services):
            users[key].append(gateway)
    return users


def _called(rule: VirtualService) -> Iterator[str]:
    for http in rule.spec.http:
        yield from (share.destination.host for share in http.route)
        yield from (mirror.destination.host for mirror in http.mirrors)
    for tls in rule.spec.tls:
        yield from (share.destination.host for share in tls.route)
    for tcp in rule.spec.tcp:
        yield from (share.destination.host for share in tcp.route)


def _statuses(world: _World) -> Iterator[tuple[Ref, AnyStatus]]:
    inputs = world.references.inputs
    for each in inputs.classes:
        if each.spec.controller_name == inputs.controller:
            generation = each.metadata.generation
            if each.spec.parameters_ref is None:
                told = condition("Accepted", "Accepted", holds=True, generation=generation)
            else:
                message = f"{each.spec.parameters_ref.kind} says nothing to this mesh (hint: leave it out)"
                told = condition("Accepted", "InvalidParameters", message, holds=False, generation=generation)
            yield ref_of(each), ClassStatus(conditions=(told,))
    for gateway in world.gateways:
        own = world.doors[_name(gateway)]
        counts = {door.listener.name: len(world.inside.get(door.key, ())) for door in own}
        yield ref_of(gateway), gateway_status(gateway, own, counts, world.references)
    for route in inputs.routes:
        # Of a route that is attached to nothing of ours that is told, too: it may have been.
        parents, rules = world.attached[ref_of(route)], world.compiler.rules(route)
        yield ref_of(route), route_status(parents, rules, inputs.controller)
    for policy, status in world.tls.statuses:
        yield ref_of(policy), status


def _findings(world: _World) -> Iterator[Finding]:
    for gateway in world.gateways:
        certificate = client_certificate(gateway, world.references)
        against = [gateway_doubt(gateway), certificate if isinstance(certificate, Doubt) else None]
        for door in world.doors[_name(gateway)]:
            against += [door.conflict, door.refused, *door.unresolved]
        yield from (_finding(gateway, each) for each in against if each is not None)
        for door in world.doors[_name(gateway)]:
            yield from (_finding(gateway, each, Severity.WARNING) for each in door.notes)
        yield from (_finding(gateway, each, Severity.WARNING) for each in _strangers(gateway))
    for route in by_age(world.references.inputs.routes):
        yield from _route_findings(route, world)
    told: set[tuple[Ref, Doubt]] = set()
    for policy, doubt in world.tls.doubts:
        if (ref_of(policy), doubt) not in told:
            told.add((ref_of(policy), doubt))
            yield _finding(policy, doubt)
    for policy, status in world.tls.statuses:
        if status.ancestors:
            yield from (_finding(policy, each, Severity.WARNING) for each in _unread(policy))


def _strangers(gateway: Gateway) -> Iterator[Doubt]:
    """That nobody can add listeners, where somebody was meant to."""
    allowed = gateway.spec.allowed_listeners
    if allowed is not None and allowed.namespaces.from_ != "None":
        message = "has no effect: objects that add listeners are not read (hint: write them into the Gateway)"
        yield Doubt("UnsupportedValue", "$.spec.allowedListeners", message)


def _unread(policy: BackendTLSPolicy) -> Iterator[Doubt]:
    for name in policy.spec.options:
        yield Doubt(
            "UnsupportedValue", f"$.spec.options[{name}]", "has no effect: this mesh does not read it"
        )


def _route_findings(route: Route, world: _World) -> Iterator[Finding]:
    parents = world.attached[ref_of(route)]
    if parents:
        rules = world.compiler.rules(route)
        yield from (_finding(route, each) for each in (*rules.unsupported, *rules.unresolved))
        yield from (_finding(route, each.refused) for each in parents if each.refused is not None)


def _finding(found: Object, doubt: Doubt, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(
        ref=ref_of(found), path=doubt.path, message=doubt.message, severity=severity, code=doubt.code
    )
