"""How an upstream's calls are spread over its endpoints: by priority, locality and weight.

Source: Envoy's load balancing documentation: priority levels, panic threshold, locality weighted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from isthmus.envoy.types import Address, Cluster, ClusterLoadAssignment, LbEndpoint
from isthmus.kit.ip import authority
from isthmus.translate.trace.enums import enum_name
from isthmus.translate.trace.held import cluster_of, network_of, workload_of
from isthmus.translate.trace.steps import EndpointShare
from isthmus.translate.trace.transport import towards
from isthmus.translate.trace.zone_shares import zone_shares

_OVERPROVISIONED = 1.4  # Envoy's default: 72 per cent of healthy endpoints can take all of a level's load
_PANIC = 50.0  # per cent, where an upstream does not say
_PUT_ASIDE = frozenset({"UNHEALTHY", "DRAINING", "TIMEOUT"})


class _Group(NamedTuple):
    """The endpoints of one locality and priority."""

    priority: int
    locality: str
    weight: int
    endpoints: Sequence[LbEndpoint]


class _Load(NamedTuple):
    """What the endpoints of one priority get."""

    part: float  # of all calls
    panics: bool  # whether those that are put aside are asked as well
    zones: Mapping[str, float] | None  # the part of each locality; None: as many as its endpoints


class Callers(NamedTuple):
    """From where calls come: the locality of this caller, and those of all that share its calls."""

    here: str
    likes: ClusterLoadAssignment

    def zones(self, upstream: Cluster, level: Sequence[_Group]) -> Mapping[str, float] | None:
        """What part each locality of the first priority gets, where zones share by themselves."""
        if not upstream.common_lb_config.HasField("zone_aware_lb_config"):
            return None
        callers = _numbers(group for group in _groups(self.likes) if not group.priority)
        return zone_shares(upstream, self.here, callers, _numbers(level))


NOBODY = Callers("", ClusterLoadAssignment())
"""Where Envoy is not told who shares its calls."""


def endpoint_shares(
    upstream: Cluster,
    assignment: ClusterLoadAssignment,
    alpn: tuple[str, ...],
    callers: Callers = NOBODY,
) -> tuple[EndpointShare, ...]:
    """All endpoints, in order of priority, with their shares; those put aside have none."""
    groups = sorted(_groups(assignment), key=lambda group: group.priority)
    levels = sorted({group.priority for group in groups})
    by_level = [[group for group in groups if group.priority == level] for level in levels]
    health = [_healthy_share(level) for level in by_level]
    threshold = _panic_threshold(upstream)
    calm = sum(min(1.0, each * _OVERPROVISIONED) for each in health) >= 1.0
    panics = [not calm and each * 100 < threshold for each in health]
    loads = _loads_by_number(by_level) if all(panics) else _loads(health)
    found: list[EndpointShare] = []
    for index, (level, part, panic) in enumerate(zip(by_level, loads, panics, strict=True)):
        zones = callers.zones(upstream, level) if not index and not panic else None
        found.extend(_level(upstream, level, _Load(part, panic, zones), alpn))
    return tuple(found)


def _numbers(groups: Iterable[_Group]) -> Mapping[str, int]:
    """How many endpoints are well, by locality."""
    found: Counter[str] = Counter()
    for group in groups:
        found[group.locality] += sum(map(_serves, group.endpoints))
    return found


def _groups(assignment: ClusterLoadAssignment) -> Iterator[_Group]:
    for each in assignment.endpoints:
        where = each.locality
        locality = "/".join((where.region, where.zone, where.sub_zone)).rstrip("/")
        yield _Group(each.priority, locality, each.load_balancing_weight.value, each.lb_endpoints)


def _level(
    upstream: Cluster, level: list[_Group], load: _Load, alpn: tuple[str, ...]
) -> Iterator[EndpointShare]:
    """The endpoints of one priority."""
    by_locality = upstream.common_lb_config.HasField("locality_weighted_lb_config") and not load.panics
    weights = [
        [_weight(one) if load.panics or _serves(one) else 0 for one in group.endpoints] for group in level
    ]
    if by_locality:
        # A locality counts with its weight, less where too few of its endpoints are healthy.
        parts = [group.weight * min(1.0, _OVERPROVISIONED * _healthy_share([group])) for group in level]
    elif load.zones is not None:
        parts = [load.zones.get(group.locality, 0.0) for group in level]
    else:
        parts = [float(sum(own)) for own in weights]
    whole = sum(parts)
    for group, own, part in zip(level, weights, parts, strict=True):
        of_group = load.part * part / whole if whole else 0.0
        for one, weight in zip(group.endpoints, own, strict=True):
            share = of_group * weight / sum(own) if sum(own) else 0.0
            yield _endpoint(upstream, group, one, share * 100, alpn)


def _place(address: Address) -> str:
    if address.HasField("pipe"):
        return f"unix://{address.pipe.path}"
    where = address.socket_address
    return authority(where.address, where.port_value)


def _endpoint(
    upstream: Cluster, group: _Group, one: LbEndpoint, share: float, alpn: tuple[str, ...]
) -> EndpointShare:
    return EndpointShare(
        address=_place(one.endpoint.address),
        share=share,
        priority=group.priority,
        weight=_weight(one),
        locality=group.locality,
        locality_weight=group.weight,
        cluster=cluster_of(one),
        workload=workload_of(one),
        network=network_of(one),
        health="healthy" if _serves(one) else _health(one).lower(),
        tls=towards(upstream, one, alpn),
    )


def _healthy_share(groups: Sequence[_Group]) -> float:
    several = [one for group in groups for one in group.endpoints]
    return sum(map(_serves, several)) / len(several) if several else 0.0


def _loads(health: list[float]) -> list[float]:
    """What part of the calls each priority gets: the first as much as its healthy endpoints can take, and so on."""
    able = [min(1.0, each * _OVERPROVISIONED) for each in health]
    whole = min(1.0, sum(able))
    if not whole:
        return [1.0 if index == 0 else 0.0 for index in range(len(health))]
    left, loads = 1.0, []
    for each in able:
        part = min(left, each / whole)
        loads.append(part)
        left -= part
    return loads


def _loads_by_number(levels: Sequence[Sequence[_Group]]) -> list[float]:
    """What part each priority gets where all of them panic: as many as its endpoints are, well or not."""
    numbers = [sum(len(group.endpoints) for group in level) for level in levels]
    whole = sum(numbers)
    return [each / whole if whole else 0.0 for each in numbers]


def _panic_threshold(upstream: Cluster) -> float:
    config = upstream.common_lb_config
    return config.healthy_panic_threshold.value if config.HasField("healthy_panic_threshold") else _PANIC


def _weight(one: LbEndpoint) -> int:
    return one.load_balancing_weight.value or 1


def _serves(one: LbEndpoint) -> bool:
    return _health(one) not in _PUT_ASIDE


def _health(one: LbEndpoint) -> str:
    return enum_name(one, "health_status")
