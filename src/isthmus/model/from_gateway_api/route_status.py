"""The status of a route at each of its parents. Source: Gateway API reference, RouteParentStatus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from isthmus.api.gateway_api.reference import ParentReference
from isthmus.model.from_gateway_api.attach import Attachment
from isthmus.model.from_gateway_api.http_rules import Rules
from isthmus.model.from_gateway_api.objects import CONTROLLER
from isthmus.model.from_gateway_api.status import Condition, ParentStatus, RouteStatus, condition


def accepted(found: Attachment, rules: Rules) -> Attachment:
    """`found`, or its refusal where all rules of the route are impossible."""
    if found.refused is None and not rules.kept and rules.unsupported:
        return replace(found, doors=(), services=(), refused=rules.unsupported[0])
    return found


def route_status(found: Sequence[Attachment], rules: Rules) -> RouteStatus:
    """What became of a route at those of its parents that are ours."""
    return RouteStatus(
        parents=tuple(
            ParentStatus(
                parent_ref=each.ref,
                controller_name=CONTROLLER,
                conditions=tuple(_conditions(each, rules)),
            )
            for each in found
        )
    )


def _conditions(found: Attachment, rules: Rules) -> Iterator[Condition]:
    generation = found.route.metadata.generation
    if found.refused is not None:
        reason, path, message = found.refused
        said = message if path == found.path else f"{path} {message}"
        yield condition("Accepted", reason, said, holds=False, generation=generation)
    else:
        yield condition("Accepted", "Accepted", holds=True, generation=generation)
    if rules.unresolved:
        reason, path, message = rules.unresolved[0]
        yield condition("ResolvedRefs", reason, f"{path} {message}", holds=False, generation=generation)
    else:
        yield condition("ResolvedRefs", "ResolvedRefs", holds=True, generation=generation)
    if found.refused is None and rules.kept and rules.unsupported:
        what = "; ".join(f"{path} {text}" for _, path, text in rules.unsupported)
        reason = rules.unsupported[0].reason
        # Source: RouteConditionPartiallyInvalid: the message must begin with these words.
        yield condition(
            "PartiallyInvalid", reason, f"Dropped Rule: {what}", holds=True, generation=generation
        )


def parent_of(kind: str, namespace: str, name: str) -> ParentReference:
    """A reference to an object that others stand below."""
    return ParentReference(kind=kind, namespace=namespace, name=name)
