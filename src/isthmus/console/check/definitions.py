"""Checks of the kinds of objects that the mesh is configured by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isthmus.api import KINDS
from isthmus.api.crd import custom_resource_definitions, is_ours
from isthmus.api.gateway_api.reference import GROUP
from isthmus.api.resource import Kind
from isthmus.console.check.cluster import Cluster, Json, few, is_true, named
from isthmus.console.check.verdict import Check, Said, When, broken, doubtful, fine

_ISTIO = {str(each["metadata"]["name"]): each for each in custom_resource_definitions()}


def _versions(definition: Json) -> set[str]:
    return {str(each["name"]) for each in definition["spec"]["versions"] if each.get("served")}


def kinds_installed(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Every kind of configuration can be written.

    What cannot be written is not in effect; other parts of the same release chart may be missing as well.
    """
    if not any(pilot.pod for pilot in cluster.pilots):
        return  # configuration is read where Pilot runs
    lacking = [name for name in _ISTIO if cluster.one("customresourcedefinitions", name) is None]
    if lacking:
        yield broken(f"without {few(lacking)}", cluster.install("primary"))
    else:
        yield fine(f"all {len(_ISTIO)} kinds")


def kinds_established(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The API server has taken up the kinds that it was given.

    A definition whose names are another one's stands in the list and serves nothing.
    """
    found = [each for each in cluster.all("customresourcedefinitions") if _concerns(each)]
    waiting = [named(each) for each in found if not is_true(each, "Established")]
    if waiting:
        yield broken(f"not served: {few(waiting)}", cluster.kubectl(f"describe crd {waiting[0]}"))
    elif found:
        yield fine(f"all {len(found)} definitions")


def kinds_readable(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """Each kind is served in a version that Pilot reads.

    Definitions of another release of Istio or of the Gateway API may have given up what is read here.
    """
    found = 0
    for kind in (each for each in KINDS if each.is_config):
        definition = cluster.one("customresourcedefinitions", f"{kind.plural}.{kind.group}")
        if definition is None:
            continue
        found += 1
        if not _versions(definition) & set(kind.versions):
            yield broken(
                f"{named(definition)} is served as {', '.join(sorted(_versions(definition)))}; "
                f"Pilot reads {', '.join(kind.versions)}",
                _newer(cluster, kind),
            )
            return
    if found:
        yield fine(f"{found} kinds")


def _newer(cluster: Cluster, kind: Kind) -> str:
    role = "gateway-api" if kind.group == GROUP else "primary"
    return cluster.install(role)


def kinds_current(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The kinds that Isthmus installed are those of this release.

    The API server drops fields that a definition does not know, without a word: newer settings have no effect.
    """
    behind = []
    ours = 0
    for name, wanted in _ISTIO.items():
        held = cluster.one("customresourcedefinitions", name)
        if held is not None and is_ours(held):
            ours += 1
            if not _fields(wanted) <= _fields(held):
                behind.append(name)
    if behind:
        yield doubtful(f"of an older release: {few(behind)}", cluster.install("primary"))
    elif ours:
        yield fine(f"{ours} kinds of this release")


def gateway_api(cluster: Cluster, _: Sequence[Cluster]) -> Iterator[Said]:
    """The Gateway API is there as a whole, or not at all.

    Routes without their Gateways, or Gateways without their classes, cannot take effect.
    """
    wanted = ("gatewayclasses", "gateways", "httproutes")
    held = [each for each in wanted if cluster.one("customresourcedefinitions", f"{each}.{GROUP}")]
    if held and len(held) < len(wanted):
        lacking = [each for each in wanted if each not in held]
        yield broken(f"has {few(held)} and no {few(lacking)}", cluster.install("gateway-api"))
    else:
        yield fine("installed" if held else "not installed: Gateways are Istio's")


def _concerns(definition: Json) -> bool:
    group = definition["spec"]["group"]
    return any(kind.is_config and kind.group == group for kind in KINDS)


def _fields(definition: Json) -> frozenset[str]:
    return frozenset(
        f"{version['name']} {path}"
        for version in definition["spec"]["versions"]
        for path in _paths(version.get("schema", {}).get("openAPIV3Schema", {}), "")
    )


def _paths(schema: Json, at: str) -> Iterator[str]:
    for name, below in (schema.get("properties") or {}).items():
        yield f"{at}.{name}"
        yield from _paths(below, f"{at}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _paths(schema[key], f"{at}[]")


_NEEDS = ("customresourcedefinitions",)
CHECKS = (
    Check(kinds_installed, When.AFTER, needs=_NEEDS),
    Check(kinds_established, needs=_NEEDS),
    Check(kinds_readable, needs=_NEEDS),
    Check(kinds_current, needs=_NEEDS),
    Check(gateway_api, needs=_NEEDS),
)
