"""What is wrong with the choice of endpoints. Source: Istio's DestinationRule reference, `LoadBalancerSettings`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.api.core.label_problems import labels
from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.load_balancer import (
    ConsistentHash,
    Failover,
    LoadBalancerSettings,
    LocalityLbSetting,
    Warmup,
    ZoneAwareLbSetting,
)

_SIMPLE = ("UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "ROUND_ROBIN", "PASSTHROUGH")
_WARMING = ("", "UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN", "ROUND_ROBIN")


def balancer(at: str, found: LoadBalancerSettings) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    yield from texts.word(f"{at}.simple", found.simple, _SIMPLE)
    if found.simple and found.consistent_hash is not None:
        yield f"{at}.consistentHash", "stands beside simple (hint: one of the two)"
    if found.consistent_hash is not None:
        yield from _hash(f"{at}.consistentHash", found.consistent_hash)
    if found.locality_lb_setting is not None and found.zone_aware_lb_setting is not None:
        yield f"{at}.zoneAwareLbSetting", "stands beside localityLbSetting (hint: one of the two)"
    if found.locality_lb_setting is not None:
        yield from localities(f"{at}.localityLbSetting", found.locality_lb_setting)
    if found.zone_aware_lb_setting is not None:
        yield from zones(f"{at}.zoneAwareLbSetting", found.zone_aware_lb_setting)
    if found.warmup is not None:
        yield from _warmup(f"{at}.warmup", found.warmup)
    if (found.warmup is not None or found.warmup_duration_secs) and (
        found.consistent_hash is not None or found.simple not in _WARMING
    ):
        name = "warmup" if found.warmup is not None else "warmupDurationSecs"
        yield f"{at}.{name}", "has no effect here (hint: simple: ROUND_ROBIN or LEAST_REQUEST)"


def _hash(at: str, found: ConsistentHash) -> Iterator[Problem]:
    keys = {
        "httpHeaderName": found.http_header_name,
        "httpCookie": found.http_cookie,
        "useSourceIp": found.use_source_ip,
        "httpQueryParameterName": found.http_query_parameter_name,
    }
    chosen = [name for name, value in keys.items() if value is not None]
    if len(chosen) != 1:
        yield at, f"hashes by {' and '.join(chosen) or 'nothing'} (hint: exactly one of {', '.join(keys)})"
    if found.http_header_name is not None:
        yield from texts.header(f"{at}.httpHeaderName", found.http_header_name)
    if found.http_query_parameter_name == "":
        yield f"{at}.httpQueryParameterName", "is empty"
    if found.http_cookie is not None and not found.http_cookie.name:
        yield f"{at}.httpCookie.name", "is empty"
    if found.ring_hash is not None and found.maglev is not None:
        yield f"{at}.maglev", "stands beside ringHash (hint: one of the two)"


def _warmup(at: str, found: Warmup) -> Iterator[Problem]:
    if found.aggression is not None and found.aggression < 1:
        yield f"{at}.aggression", f"is {found.aggression} (hint: 1 or more)"
    if found.minimum_percent is not None and not 0 <= found.minimum_percent <= 100:
        yield f"{at}.minimumPercent", f"is {found.minimum_percent} (hint: 0 to 100)"


def localities(at: str, found: LocalityLbSetting) -> Iterator[Problem]:
    """Everything that is wrong with how localities share and fail over; MeshConfig has it as well."""
    if found.distribute and (found.failover or found.failover_priority):
        other = "failover" if found.failover else "failoverPriority"
        yield f"{at}.distribute", f"stands beside {other} (hint: one of the two)"
    seen: set[str] = set()
    for index, each in enumerate(found.distribute):
        here = f"{at}.distribute[{index}]"
        if not each.from_:
            yield f"{here}.from", "is empty (hint: region/zone/*)"
        if each.from_ in seen:
            yield f"{here}.from", f"{each.from_!r} stands twice"
        seen.add(each.from_)
        for place in (each.from_, *each.to):
            if place.count("/") > 2 or "*" in place.rstrip("*"):
                yield (
                    f"{here}.to" if place in each.to else f"{here}.from",
                    f"{place!r} is no locality (hint: a/b/*)",
                )
        if sum(each.to.values()) != 100:
            yield f"{here}.to", f"adds up to {sum(each.to.values())} (hint: shares of 100)"
    yield from _failover(f"{at}.failover", found.failover)
    yield from _priorities(f"{at}.failoverPriority", found.failover_priority)


def zones(at: str, found: ZoneAwareLbSetting) -> Iterator[Problem]:
    """Everything that is wrong with how zones share and regions fail over; MeshConfig has it as well."""
    if found.min_cluster_size is not None and found.min_cluster_size < 0:
        yield f"{at}.minClusterSize", f"is {found.min_cluster_size} (hint: a number of endpoints)"
    for index, each in enumerate(found.failover_priority):
        if each.partition("=")[0] in _PLACES:
            hint = "hint: regions fail over by themselves, and zones share"
            yield f"{at}.failoverPriority[{index}]", f"{each!r} is a place ({hint})"
    yield from _failover(f"{at}.failover", found.failover)
    yield from _priorities(f"{at}.failoverPriority", found.failover_priority)


def _priorities(at: str, given: Iterable[str]) -> Iterator[Problem]:
    for index, each in enumerate(given):
        name, _, value = each.partition("=")
        yield from ((f"{at}[{index}]", message) for _, message in labels("", {name: value}))


_PLACES = frozenset(
    {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}
)


def _failover(at: str, steps: Iterable[Failover]) -> Iterator[Problem]:
    for index, step in enumerate(steps):
        here = f"{at}[{index}]"
        for name, region in (("from", step.from_), ("to", step.to)):
            if not region or "/" in region or "*" in region:
                yield f"{here}.{name}", f"is {region!r} (hint: the name of a region alone)"
        if step.from_ == step.to:
            yield f"{here}.to", "is where the failure is (hint: another region)"
