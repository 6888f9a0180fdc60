"""An EnvoyFilter's patches with their values decoded into Envoy's messages, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from google.protobuf.message import Message

from isthmus.api.istio.envoy_filter import EnvoyConfigObjectMatch, EnvoyFilter, PolicyTargetReference
from isthmus.api.istio.envoy_filter_problems import LISTENER_KINDS, MERGES, ROUTE_KINDS
from isthmus.api.resource import Ref
from isthmus.envoy.rules import violations
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.selection import PROXIES_BY_LABEL
from isthmus.translate.patch.decoded import Undecodable, decoded
from isthmus.translate.patch.texts import text_fault
from isthmus.translate.types import EXTENSION, LISTENER, ROUTES, UPSTREAM


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """One patch of an EnvoyFilter, ready to be applied. Compared by identity."""

    ref: Ref
    path: str
    apply_to: str
    match: EnvoyConfigObjectMatch
    operation: str
    value: Message | None
    filter_class: str = "UNSPECIFIED"
    phase: str = ""  # of a plugin: which filters it comes before

    @property
    def replaces_lists(self) -> bool:
        return self.operation == "MERGE_AND_REPLACE_LIST"

    def is_in(self, context: str) -> bool:
        """Whether it is for this side of a proxy."""
        return self.match.context in {"ANY", context}

    def finding(self, message: str, severity: Severity = Severity.ERROR, below: str = "") -> Finding:
        """What is wrong with it."""
        path = f"{self.path}{below}"
        return Finding(ref=self.ref, path=path, message=message, severity=severity, code=Code.PATCH)


def types_of(apply_to: str) -> frozenset[str]:
    """The types of resources in which such objects are."""
    if apply_to in LISTENER_KINDS:
        return frozenset({LISTENER})
    if apply_to in ROUTE_KINDS:
        return frozenset({ROUTES, LISTENER})  # the inbound ones stand in listeners
    return frozenset({UPSTREAM}) if apply_to == "CLUSTER" else frozenset({EXTENSION})


def compiled(found: EnvoyFilter) -> tuple[tuple[Patch | None, ...], tuple[Finding, ...]]:
    """The patches by their index, None for those that cannot be applied; and the findings."""
    patches: list[Patch | None] = []
    ref = Ref("EnvoyFilter", found.metadata.namespace, found.metadata.name)
    references = {f"$.spec.targetRefs[{index}]": one for index, one in enumerate(found.spec.target_refs)}
    wrong: list[Finding] = [*references_without_proxies(ref, references)]
    for index in range(len(found.spec.config_patches)):
        made = _patch(found, index)
        patches.append(None if isinstance(made, Finding) else made)
        wrong += [made] if isinstance(made, Finding) else _unheeded(made)
    return tuple(patches), tuple(wrong)


def _patch(found: EnvoyFilter, index: int) -> Patch | Finding:
    given, meta = found.spec.config_patches[index], found.metadata
    patch = given.patch
    made = Patch(
        ref=Ref("EnvoyFilter", meta.namespace, meta.name),
        path=f"$.spec.configPatches[{index}]",
        apply_to=given.apply_to,
        match=given.match,
        operation=patch.operation if patch else "",
        value=None,
        filter_class=patch.filter_class if patch else "UNSPECIFIED",
    )
    if given.apply_to == "BOOTSTRAP":
        hint = "a CLUSTER, LISTENER or EXTENSION_CONFIG patch, which needs no restart"
        return made.finding(f"has no effect: the agent makes the bootstrap (hint: {hint})", below=".applyTo")
    if given.match.context == "WAYPOINT" or given.match.waypoint is not None:
        return made.finding("has no effect: this mesh has no waypoints (hint: GATEWAY or SIDECAR_INBOUND)")
    if patch is None or patch.value is None or made.operation == "REMOVE":
        return made
    try:
        value = decoded(given.apply_to, patch.value)
    except Undecodable as error:
        below = f".patch.value.{error.path}" if error.path else ".patch.value"
        return made.finding(f"is left out: {error.reason}", below=below)
    if why := text_fault(value):
        return made.finding(f"is left out: {why}", below=".patch.value")
    broken = () if made.operation in MERGES else violations(value)
    if broken:
        path, rule = broken[0]
        return made.finding(f"is left out: {path} {rule}", below=".patch.value")
    return replace(made, value=value)


def references_without_proxies(
    ref: Ref, references: Mapping[str, PolicyTargetReference]
) -> Iterator[Finding]:
    """A finding for each reference, by its path, to what has no proxies of its own."""
    for path, each in references.items():
        if (each.group, each.kind) not in PROXIES_BY_LABEL:
            what = f"{each.group}/{each.kind}" if each.group else each.kind
            message = f"{what} has no proxies of its own here (hint: Gateway of gateway.networking.k8s.io)"
            yield Finding(ref=ref, path=path, message=message, code=Code.PATCH)


def _unheeded(made: Patch) -> Iterator[Finding]:
    """Fields that select nothing here, as they do in Istio."""
    listener = made.match.listener
    if listener is not None and listener.port_name:
        message = "selects nothing (hint: portNumber)"
        yield made.finding(message, Severity.WARNING, ".match.listener.portName")
