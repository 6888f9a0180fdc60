"""What is told of each object of the Gateway API: its status, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from isthmus.api.gateway_api.backend_tls_policy import BackendTLSPolicy
from isthmus.api.gateway_api.gateway import Gateway, GatewayClass
from isthmus.api.resource import Object
from isthmus.model.findings import Finding, Severity
from isthmus.model.from_gateway_api.attach import Attachment
from isthmus.model.from_gateway_api.backend_tls import TargetTold
from isthmus.model.from_gateway_api.gateway_doubt import gateway_doubt
from isthmus.model.from_gateway_api.gateway_status import client_certificate, gateway_status
from isthmus.model.from_gateway_api.http_rules import Rules
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.from_gateway_api.objects import Route, ref_of
from isthmus.model.from_gateway_api.references import Doubt, References
from isthmus.model.from_gateway_api.route_status import route_status
from isthmus.model.from_gateway_api.status import ClassStatus, PolicyStatus, condition
from isthmus.model.told import Told


def class_told(found: GatewayClass) -> Told:
    """Of a class of ours that it is accepted, unless it has parameters: nobody reads them."""
    generation, asked = found.metadata.generation, found.spec.parameters_ref
    if asked is None:
        return Told(
            ClassStatus(conditions=(condition("Accepted", "Accepted", holds=True, generation=generation),))
        )
    message = f"{asked.kind} says nothing to this mesh (hint: leave it out)"
    doubt = Doubt("InvalidParameters", "$.spec.parametersRef", message)
    refused = condition("Accepted", doubt.reason, message, holds=False, generation=generation)
    return Told(ClassStatus(conditions=(refused,)), (_finding(found, doubt, Severity.WARNING),))


def gateway_told(
    gateway: Gateway, doors: Sequence[Door], attached: Mapping[str, int], references: References
) -> Told:
    """Of a Gateway and its listeners; `attached` counts the routes of each listener, by its name."""
    certificate = client_certificate(gateway, references)
    against = [gateway_doubt(gateway), certificate if isinstance(certificate, Doubt) else None]
    for door in doors:
        against += [door.around.conflict, door.refused, *door.unresolved]
    found = [_finding(gateway, each) for each in against if each is not None]
    notes = [*(note for door in doors for note in door.notes), *_strangers(gateway)]
    found += [_finding(gateway, each, Severity.WARNING) for each in notes]
    return Told(gateway_status(gateway, doors, attached, references), tuple(found))


def _strangers(gateway: Gateway) -> Iterator[Doubt]:
    """That nobody can add listeners, where somebody was meant to."""
    allowed = gateway.spec.allowed_listeners
    if allowed is not None and allowed.namespaces.from_ != "None":
        message = "has no effect: objects that add listeners are not read (hint: write them into the Gateway)"
        yield Doubt("UnsupportedValue", "$.spec.allowedListeners", message)


def route_told(route: Route, attached: Sequence[Attachment], rules: Rules) -> Told:
    """Of a route at its parents; of one without a parent of ours that nothing is the matter."""
    against = [*rules.unsupported, *rules.unresolved]
    against += [each.refused for each in attached if each.refused is not None]
    found = tuple(_finding(route, each) for each in dict.fromkeys(against)) if attached else ()
    return Told(route_status(attached, rules), found)


def policy_told(policy: BackendTLSPolicy, targets: Sequence[TargetTold]) -> Told:
    """Of a policy at the Gateways that call its services."""
    doubts = dict.fromkeys(doubt for each in targets for doubt in each.doubts)
    ancestors = {ref: status for each in targets for ref, status in each.ancestors.items()}
    found = [_finding(policy, each) for each in doubts]
    if ancestors:
        found += [_finding(policy, each, Severity.WARNING) for each in _unread(policy)]
    status = PolicyStatus(ancestors=tuple(ancestors[ref] for ref in sorted(ancestors)))
    return Told(status, tuple(found))


def _unread(policy: BackendTLSPolicy) -> Iterator[Doubt]:
    for name in policy.spec.options:
        yield Doubt(
            "UnsupportedValue", f"$.spec.options[{name}]", "has no effect: this mesh does not read it"
        )


def _finding(found: Object, doubt: Doubt, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(
        ref=ref_of(found), path=doubt.path, message=doubt.message, severity=severity, code=doubt.code
    )
