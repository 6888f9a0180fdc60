"""The status of a Gateway and its listeners. Source: Gateway API reference, GatewayStatus and ListenerStatus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from isthmus.api.gateway_api.gateway import Gateway, RouteGroupKind
from isthmus.kit.ip import is_address
from isthmus.model.from_gateway_api.gateway_doubt import gateway_doubt
from isthmus.model.from_gateway_api.listeners import Door
from isthmus.model.from_gateway_api.reach import Reach, is_managed, reach_of
from isthmus.model.from_gateway_api.references import Doubt, References, Referrer
from isthmus.model.from_gateway_api.status import (
    Condition,
    GatewayStatus,
    GatewayStatusAddress,
    ListenerStatus,
    condition,
)


def gateway_status(
    gateway: Gateway, doors: Sequence[Door], attached: Mapping[str, int], references: References
) -> GatewayStatus:
    """What became of `gateway`; `attached` counts the routes of each listener, by its name."""
    reach = reach_of(gateway, references.lookup)
    return GatewayStatus(
        addresses=tuple(GatewayStatusAddress(type=_type(each), value=each) for each in reach.addresses),
        conditions=tuple(_conditions(gateway, doors, reach, references)),
        listeners=tuple(_listener(door, attached.get(door.listener.name, 0)) for door in doors),
    )


def _type(address: str) -> str:
    return "IPAddress" if is_address(address) else "Hostname"


def _conditions(
    gateway: Gateway, doors: Sequence[Door], reach: Reach, references: References
) -> Iterator[Condition]:
    generation = gateway.metadata.generation
    refused = gateway_doubt(gateway)
    wrong = [door.listener.name for door in doors if door.around.conflict or door.refused]
    if refused is not None:
        yield condition("Accepted", refused.reason, refused.message, holds=False, generation=generation)
    elif wrong:
        message = f"wrong listeners: {', '.join(wrong)} (hint: their conditions say why)"
        some = len(wrong) < len(doors)
        yield condition("Accepted", "ListenersNotValid", message, holds=some, generation=generation)
    else:
        yield condition("Accepted", "Accepted", holds=True, generation=generation)
    yield _programmed(gateway, doors, reach)
    yield _resolved(gateway, doors, references)


def _programmed(gateway: Gateway, doors: Sequence[Door], reach: Reach) -> Condition:
    generation = gateway.metadata.generation
    if all(door.server is None for door in doors):
        reason, message = "Invalid", "no listener is run"
    elif reach.unusable and (reach.addresses or not is_managed(gateway)):
        reason, message = "AddressNotUsable", f"is not reached at {', '.join(reach.unusable)}"
    elif reach.taken:
        hint = "hint: another name, or the annotation gateway.istio.io/name-override"
        reason, message = "AddressNotAssigned", f"Service {reach.taken} leads to other pods ({hint})"
    elif not reach.addresses:
        reason, message = "AddressNotAssigned", "it has no address yet"
    else:
        return condition("Programmed", "Programmed", holds=True, generation=generation)
    return condition("Programmed", reason, message, holds=False, generation=generation)


def _resolved(gateway: Gateway, doors: Sequence[Door], references: References) -> Condition:
    generation = gateway.metadata.generation
    wrong = client_certificate(gateway, references)
    if isinstance(wrong, Doubt):
        return condition("ResolvedRefs", wrong.reason, wrong.message, holds=False, generation=generation)
    names = [door.listener.name for door in doors if door.unresolved]
    if names:
        message = f"listeners: {', '.join(names)}"
        return condition("ResolvedRefs", "ListenersNotResolved", message, holds=False, generation=generation)
    return condition("ResolvedRefs", "ResolvedRefs", holds=True, generation=generation)


def client_certificate(gateway: Gateway, references: References) -> str | Doubt | None:
    """The credential by which the Gateway proves itself to services; None where it has none."""
    tls = gateway.spec.tls
    if tls is None or tls.backend is None or tls.backend.client_certificate_ref is None:
        return None
    by = Referrer("Gateway", gateway.metadata.namespace)
    path = "$.spec.tls.backend.clientCertificateRef"
    found = references.certificate(by, tls.backend.client_certificate_ref, path)
    if isinstance(found, Doubt) and found.reason == "InvalidCertificateRef":
        return found._replace(reason="InvalidClientCertificateRef")
    return found


def _listener(door: Door, attached: int) -> ListenerStatus:
    return ListenerStatus(
        name=door.listener.name,
        supported_kinds=tuple(RouteGroupKind(kind=kind) for kind in door.kinds),
        attached_routes=attached,
        conditions=tuple(_listener_conditions(door)),
    )


def _listener_conditions(door: Door) -> Iterator[Condition]:
    generation = door.gateway.metadata.generation
    against = (
        door.around.conflict._replace(reason="Invalid") if door.around.conflict is not None else door.refused
    )
    if against is None:
        yield condition("Accepted", "Accepted", holds=True, generation=generation)
    else:
        yield condition("Accepted", against.reason, against.message, holds=False, generation=generation)
    if door.around.conflict is None:
        yield condition("Conflicted", "NoConflicts", holds=False, generation=generation)
    else:
        reason, _, message = door.around.conflict
        yield condition("Conflicted", reason, message, holds=True, generation=generation)
    if door.unresolved:
        reason, _, message = door.unresolved[0]
        yield condition("ResolvedRefs", reason, message, holds=False, generation=generation)
    else:
        yield condition("ResolvedRefs", "ResolvedRefs", holds=True, generation=generation)
    if door.server is None:
        yield condition("Programmed", "Invalid", "is not run", holds=False, generation=generation)
    else:
        yield condition("Programmed", "Programmed", holds=True, generation=generation)
    if door.around.overlaps:
        message = (
            f"shares hosts and its port with {', '.join(door.around.overlaps)}: clients may reuse connections"
        )
        yield condition(
            "OverlappingTLSConfig", "OverlappingHostnames", message, holds=True, generation=generation
        )
