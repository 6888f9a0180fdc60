"""How Envoy shares calls over the zones of the first priority, where it knows in which zones callers are.

Source: Envoy's "Zone aware routing": as many calls stay in the zone as its endpoints can take of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.envoy.types import Cluster

_LEAST = 6
"""Envoy's default: with fewer endpoints that are well, zones do not count."""

Numbers = Mapping[str, int]
"""How many endpoints are well, by locality."""


def zone_shares(
    upstream: Cluster, here: str, callers: Numbers, endpoints: Numbers
) -> Mapping[str, float] | None:
    """What part of the calls each locality gets from a caller `here`; None where zones do not count."""
    config = upstream.common_lb_config.zone_aware_lb_config
    least = config.min_cluster_size.value if config.HasField("min_cluster_size") else _LEAST
    served, calling = sum(endpoints.values()), sum(callers.values())
    if not calling or served < least or sum(map(bool, endpoints.values())) < 2:
        return None
    able = {here: 0.0} | {zone: number / served for zone, number in endpoints.items()}
    asking = {zone: number / calling for zone, number in callers.items()}
    own = asking.get(here, 0.0)
    stay = 1.0 if able[here] and able[here] >= own else able[here] / own if own else 0.0
    left = {zone: max(0.0, part - asking.get(zone, 0.0)) for zone, part in able.items() if zone != here}
    whole = sum(left.values())
    return {here: stay} | {zone: (1.0 - stay) * part / whole if whole else 0.0 for zone, part in left.items()}
