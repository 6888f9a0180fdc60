"""BackendTLSPolicy → DestinationRules for the gateways that call the Service.

Source: Gateway API reference, BackendTLSPolicy. It is for gateways, not for sidecars, so that each gateway gets
a rule of its own, in its namespace and for its pods only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy, BackendTLSValidation, PolicyTarget
from isthmus.api.gateway_api.gateway import Gateway
from isthmus.api.gateway_api.reference import ObjectReference
from isthmus.api.istio.destination import PortSelector
from isthmus.api.istio.destination_rule import (
    ClientTLSSettings,
    DestinationRule,
    DestinationRuleSpec,
    PortTrafficPolicy,
    TrafficPolicy,
    WorkloadSelector,
)
from isthmus.api.resource import Meta, Ref
from isthmus.model.from_gateway_api.gateway_status import client_certificate
from isthmus.model.from_gateway_api.listeners import config_name
from isthmus.model.from_gateway_api.objects import CONTROLLER, ref_of
from isthmus.model.from_gateway_api.reach import reach_of
from isthmus.model.from_gateway_api.references import Doubt, References, Referrer
from isthmus.model.from_gateway_api.route_status import parent_of
from isthmus.model.from_gateway_api.status import AncestorStatus, Condition, condition
from isthmus.model.lookup import Lookup
from isthmus.model.names import ServiceKey
from isthmus.model.origins import Origin, Origins, numbered
from isthmus.model.service import Service


class TargetTold(NamedTuple):
    """What becomes of a policy for one of its targets."""

    doubts: tuple[Doubt, ...]
    ancestors: Mapping[Ref, AncestorStatus]  # by the gateways


class BackendTls(NamedTuple):
    """What all policies for one service come to."""

    rules: tuple[tuple[DestinationRule, Origins], ...]  # one for each gateway that calls it
    told: Mapping[Ref, TargetTold]  # by the policies


@dataclass(slots=True)
class _Wanted:
    """The TLS that one gateway speaks to the service: as a whole, and on some ports."""

    whole: tuple[ClientTLSSettings, Origin] | None = None
    ports: dict[int, tuple[ClientTLSSettings, Origin]] = field(default_factory=dict)


def targets(policy: BackendTLSPolicy, lookup: Lookup) -> Mapping[ServiceKey, tuple[int, ...]]:
    """The services that a policy is for, with the numbers of its targets."""
    found: dict[ServiceKey, tuple[int, ...]] = {}
    for index, target in enumerate(policy.spec.target_refs):
        key = lookup.service_key(policy.metadata.namespace, target.name)
        found[key] = (*found.get(key, ()), index)
    return found


def backend_tls(
    key: ServiceKey, policies: Iterable[BackendTLSPolicy], users: Sequence[Gateway], references: References
) -> BackendTls:
    """Rules for the gateways `users`, which call the service `key`, by the policies for it, the older first."""
    service = references.lookup.service(key)
    wanted: dict[Ref, _Wanted] = {ref_of(gateway): _Wanted() for gateway in users}
    told: dict[Ref, TargetTold] = {}
    taken: set[str] = set()
    for policy in policies:
        doubts: list[Doubt] = []
        ancestors: dict[Ref, AncestorStatus] = {}
        for index in targets(policy, references.lookup)[key]:
            target = policy.spec.target_refs[index]
            wrong = _target(policy, index, service, target.section_name in taken)
            taken.add(target.section_name)
            doubts += [wrong] if wrong is not None else []
            for gateway in users:
                made = _settings(policy, gateway, references)
                ancestors[ref_of(gateway)] = AncestorStatus(
                    ancestor_ref=parent_of("Gateway", gateway.metadata.namespace, gateway.metadata.name),
                    controller_name=CONTROLLER,
                    conditions=tuple(_conditions(policy, wrong, made)),
                )
                if wrong is None and service is not None:
                    origin = Origin(ref_of(policy), f"$.spec.targetRefs[{index}]")
                    _take(wanted[ref_of(gateway)], service, target, (made.settings, origin))
                doubts += made.doubts
        told[ref_of(policy)] = TargetTold(tuple(dict.fromkeys(doubts)), ancestors)
    rules = [(gateway, wanted[ref_of(gateway)]) for gateway in users]
    return BackendTls(
        tuple(_rule(gateway, key, each, references) for gateway, each in rules if each.whole or each.ports),
        told,
    )


def _target(policy: BackendTLSPolicy, index: int, service: Service | None, taken: bool) -> Doubt | None:
    target, at = policy.spec.target_refs[index], f"$.spec.targetRefs[{index}]"
    if (target.group, target.kind) != ("", "Service"):
        return Doubt("TargetNotFound", at, f"is a {target.kind} (hint: policies are for Services)")
    if service is None:
        return Doubt("TargetNotFound", at, f"no Service {target.name} in this namespace")
    if target.section_name and all(port.name != target.section_name for port in service.ports):
        has = ", ".join(port.name or "unnamed" for port in service.ports)
        message = f"{target.name} has no port {target.section_name} (hint: it has {has})"
        return Doubt("TargetNotFound", f"{at}.sectionName", message)
    if taken:
        return Doubt("Conflicted", at, f"an older policy is for {target.name} (hint: put both into one)")
    return None


@dataclass(frozen=True, slots=True)
class _Made:
    settings: ClientTLSSettings
    unresolved: tuple[Doubt, ...] = ()
    refused: Doubt | None = None

    @property
    def doubts(self) -> list[Doubt]:
        return [*self.unresolved, *([self.refused] if self.refused else [])]


_UNTRUSTED = "invalid://no-valid-certificate"
"""A credential that is never there, so that connections fail, as the specification asks. Source: Istio's name."""

_SYSTEM = "system"
"""As `caCertificates`: those whom the proxy's system trusts, in place of the `ca.crt` of the client's Secret."""


def _settings(policy: BackendTLSPolicy, gateway: Gateway, references: References) -> _Made:
    """The TLS of `policy` as `gateway` speaks it; where it cannot be, one by which no connection succeeds."""
    validation, at = policy.spec.validation, "$.spec.validation"
    usual = ClientTLSSettings(mode="SIMPLE", sni=validation.hostname, subject_alt_names=_names(validation))
    nothing = _with(usual, credential_name=_UNTRUSTED)
    by = Referrer("BackendTLSPolicy", policy.metadata.namespace)
    refs = [
        ObjectReference(group=each.group, kind=each.kind, name=each.name)
        for each in validation.ca_certificate_refs
    ]
    found = [
        references.authority(by, ref, f"{at}.caCertificateRefs[{index}]") for index, ref in enumerate(refs)
    ]
    wrong = tuple(_renamed(each) for each in found if isinstance(each, Doubt))
    names = [each for each in found if isinstance(each, str)]
    if wrong and not names:
        none = Doubt("NoValidCACertificate", f"{at}.caCertificateRefs", "none of them is right")
        return _Made(nothing, wrong, none)
    if len(names) > 1:
        message = "are several, and one is known (hint: put all certificates into one)"
        return _Made(nothing, wrong, Doubt("Invalid", f"{at}.caCertificateRefs", message))
    if not names and validation.well_known_ca_certificates != "System":
        path = f"{at}.wellKnownCACertificates"
        message = f"is {validation.well_known_ca_certificates!r} (hint: System)"
        return _Made(nothing, wrong, Doubt("Invalid", path, message))
    own = client_certificate(gateway, references)
    if isinstance(own, str):
        # A client's Secret would vouch for the service, too, if nobody else did.
        mutual = _with(usual, mode="MUTUAL", credential_name=own)
        return _Made(msgspec.structs.replace(mutual, ca_certificates=names[0] if names else _SYSTEM), wrong)
    return _Made(_with(usual, credential_name=names[0]) if names else usual, wrong)


def _with(settings: ClientTLSSettings, *, credential_name: str, mode: str = "SIMPLE") -> ClientTLSSettings:
    return ClientTLSSettings(
        mode=mode,
        sni=settings.sni,
        subject_alt_names=settings.subject_alt_names,
        credential_name=credential_name,
    )


def _renamed(found: Doubt) -> Doubt:
    """By the policy's own word for it."""
    return found._replace(reason="InvalidKind") if found.reason == "InvalidCACertificateKind" else found


def _names(validation: BackendTLSValidation) -> tuple[str, ...]:
    given = tuple(each.uri if each.type == "URI" else each.hostname for each in validation.subject_alt_names)
    return given or (validation.hostname,)


def _conditions(policy: BackendTLSPolicy, wrong: Doubt | None, made: _Made) -> Iterator[Condition]:
    generation, against = policy.metadata.generation, wrong or made.refused
    if against is None:
        yield condition("Accepted", "Accepted", holds=True, generation=generation)
    else:
        yield condition("Accepted", against.reason, against.message, holds=False, generation=generation)
    if made.unresolved:
        reason, _, message = made.unresolved[0]
        yield condition("ResolvedRefs", reason, message, holds=False, generation=generation)
    else:
        yield condition("ResolvedRefs", "ResolvedRefs", holds=True, generation=generation)


def _take(
    wanted: _Wanted, service: Service, target: PolicyTarget, told: tuple[ClientTLSSettings, Origin]
) -> None:
    if not target.section_name:
        wanted.whole = told
    for port in service.ports:
        if port.name == target.section_name and target.section_name:
            wanted.ports[port.number] = told


def _rule(
    gateway: Gateway, key: ServiceKey, wanted: _Wanted, references: References
) -> tuple[DestinationRule, Origins]:
    meta = gateway.metadata
    reach = reach_of(gateway, references.lookup)
    numbers = sorted(wanted.ports)
    ports = tuple(
        PortTrafficPolicy(port=PortSelector(number=number), tls=wanted.ports[number][0]) for number in numbers
    )
    rule = DestinationRule(
        metadata=Meta(
            name=config_name(gateway, f"{key.name}.{key.namespace}"),
            namespace=reach.namespace,
            creation_timestamp=meta.creation_timestamp,
        ),
        spec=DestinationRuleSpec(
            host=key.hostname,
            workload_selector=WorkloadSelector(match_labels=dict(reach.labels)),
            traffic_policy=TrafficPolicy(
                tls=wanted.whole[0] if wanted.whole else None, port_level_settings=ports
            ),
        ),
    )
    parts = numbered(
        "$.spec.trafficPolicy.portLevelSettings", (wanted.ports[number][1] for number in numbers)
    )
    (_, whole) = wanted.whole or wanted.ports[numbers[0]]
    return rule, Origins(whole, tuple(parts))
