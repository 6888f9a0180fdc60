"""The parts of what an Envoy holds, as `isthmus proxy config` shows them: as rows, or in Envoy's own words."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from isthmus.console import envoy_view
from isthmus.console.envoy_secrets import extensions, secrets
from isthmus.console.envoy_view import address_of
from isthmus.kit.clock import SystemClock

Json = dict[str, Any]
DUMP = "config_dump?include_eds"
ENDPOINTS = "clusters?format=json"


class Part(NamedTuple):
    """A part: which sections of the dump it is of, its rows, and what only `-o wide` shows."""

    sections: tuple[str, ...]
    rows: Callable[[Json, Json], Sequence[Any]]
    wide: frozenset[str] = frozenset()


def rows_of(part: str, dump: Json, clusters: Json, filters: Mapping[str, str]) -> list[Any]:
    """The rows of a part that all filters let through."""
    return [
        row for row in PARTS[part].rows(dump, clusters) if all(_fits(row, *each) for each in filters.items())
    ]


def resources_of(part: str, dump: Json, names: frozenset[str]) -> list[Json]:
    """The resources of these names as Envoy holds them."""
    return [tree for name, tree in _resources(part, dump) if name in names]


def section(dump: Json, kind: str) -> Json:
    """The part of a dump that is called so; empty where there is none."""
    for each in dump.get("configs", []):
        if str(each.get("@type", "")).endswith(f".{kind}"):
            found: Json = each
            return found
    return {}


def versions(dump: Json) -> Iterator[tuple[str, str, Hashable]]:
    """Of each resource that came from Pilot: its part, its name, and its version.

    Of endpoints Envoy tells no version: they stand for it themselves. It also lists those of upstreams that have
    theirs from elsewhere, which Pilot did not tell.
    """
    apart = _told_apart(dump)
    for part, (kind, key, _) in _ENTRIES.items():
        for entry in section(dump, kind).get(key, []):
            name, state = _name(part, entry), _in_force(entry)
            if state is None:
                continue
            if part != "endpoints":
                yield part, name, str(state.get("version_info", ""))
            elif name in apart:
                yield part, name, frozenset(_places(state.get("endpoint_config", {})))


def _told_apart(dump: Json) -> set[str]:
    """The upstreams whose endpoints are told by themselves (EDS), by the names by which these are asked for."""
    entries = section(dump, "ClustersConfigDump").get("dynamic_active_clusters", [])
    upstreams = [each.get("cluster", {}) for each in entries]
    return {
        each.get("eds_cluster_config", {}).get("service_name") or each.get("name", "")
        for each in upstreams
        if each.get("type") == "EDS"
    }


def _places(assignment: Json) -> Iterator[tuple[Hashable, ...]]:
    """Each endpoint: in which locality and of which priority it is, where, and how much it weighs."""
    for group in assignment.get("endpoints", []):
        locality = tuple(sorted(group.get("locality", {}).items()))
        for each in group.get("lb_endpoints", []):
            address = address_of(each.get("endpoint", {}).get("address", {}))
            yield locality, group.get("priority", 0), address, each.get("load_balancing_weight", 1)


def _fits(row: Any, name: str, wanted: str) -> bool:
    if not wanted:
        return True
    match name:
        case "service":
            return any(wanted in str(getattr(row, field)) for field in row.__struct_fields__)
        case "port":
            words = (
                str(getattr(row, "port", "")),
                *str(row.resource).split("|"),
                _port(getattr(row, "endpoint", "")),
            )
            return wanted in words
        case "fqdn":
            return row.service == wanted or str(row.service).startswith(f"{wanted}.")
        case "cluster":
            return wanted in (row.upstream, row.cluster)
        case "address":
            return _host(getattr(row, "address", "") or getattr(row, "endpoint", "")) == wanted
        case "status" | "direction" | "type":
            return str(getattr(row, name)).lower() == wanted.lower()
        case _:
            return str(getattr(row, name, row.resource)) == wanted


def _port(endpoint: str) -> str:
    return endpoint.rpartition(":")[2]


def _host(address: str) -> str:
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdigit() and (":" not in host or host.startswith("[")) else address


def _resources(part: str, dump: Json) -> Iterator[tuple[str, Json]]:
    for kind in PARTS[part].sections:
        for key, entries in section(dump, kind).items():
            for entry in entries if isinstance(entries, list) and "_" in key else ():
                if (content := _in_force(entry)) is not None:
                    yield _name(part, entry), content.get(_ENTRIES[part][2], content)


def _in_force(entry: Json) -> Json | None:
    """What holds now; None of a listener that warms, was refused, or has been taken away and only ends what is open.

    A listener is in a dump once for all its states (envoy/admin/v3/config_dump_shared.proto, DynamicListener).
    """
    if any(each.endswith("_state") for each in entry):
        found: Json | None = entry.get("active_state")
        return found
    return entry


def _name(part: str, entry: Json) -> str:
    content = (_in_force(entry) or {}).get(_ENTRIES[part][2], {})
    return str(content.get("cluster_name") or content.get("name") or entry.get("name", ""))


_ENTRIES = {
    "clusters": ("ClustersConfigDump", "dynamic_active_clusters", "cluster"),
    "endpoints": ("EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config"),
    "listeners": ("ListenersConfigDump", "dynamic_listeners", "listener"),
    "routes": ("RoutesConfigDump", "dynamic_route_configs", "route_config"),
    "secret": ("SecretsConfigDump", "dynamic_active_secrets", "secret"),
    "ecds": ("EcdsConfigDump", "ecds_filters", "ecds_filter"),
}
"""The section of each part, the list in it that comes from Pilot, and where in an entry its resource is."""

PARTS: dict[str, Part] = {
    "clusters": Part(
        ("ClustersConfigDump",),
        lambda dump, _: envoy_view.upstreams(dump),
    ),
    "endpoints": Part(
        ("EndpointsConfigDump",),
        envoy_view.endpoints,
    ),
    "listeners": Part(
        ("ListenersConfigDump",),
        lambda dump, _: envoy_view.listeners(dump),
        frozenset({"type"}),
    ),
    "routes": Part(
        ("RoutesConfigDump",),
        lambda dump, _: envoy_view.routes(dump),
    ),
    "secret": Part(
        ("SecretsConfigDump",),
        lambda dump, _: secrets(section(dump, "SecretsConfigDump"), SystemClock().now()),
    ),
    "ecds": Part(
        ("EcdsConfigDump",),
        lambda dump, _: extensions(section(dump, "EcdsConfigDump")),
    ),
}
