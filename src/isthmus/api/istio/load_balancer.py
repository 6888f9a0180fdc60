"""Which endpoint gets the next call, as a DestinationRule or the mesh says. Source: DestinationRule reference."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from isthmus.api.resource import Part
from isthmus.api.words import Duration

Balancer = Annotated[
    str,
    Meta(
        extra_json_schema={
            "enum": [
                "UNSPECIFIED", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "ROUND_ROBIN", "PASSTHROUGH"
            ]
        }
    ),
]  # fmt: skip


class HttpCookie(Part, frozen=True, kw_only=True):
    """A cookie that decides over the endpoint."""

    name: str
    """The cookie whose value is hashed. Envoy: `hash_policy.cookie.name`."""
    path: str = ""
    """The path of a cookie that the proxy makes. Envoy: `hash_policy.cookie.path`."""
    ttl: Duration = ""
    """How long a cookie lives that the proxy makes for callers without one; 0s: for the browser's session.
    Without it none is made. Envoy: `hash_policy.cookie.ttl`."""
    attributes: tuple[dict[str, str], ...] = ()
    """What else stands in a cookie that the proxy makes: `name` and `value` of each.
    Envoy: `hash_policy.cookie.attributes`."""


class RingHash(Part, frozen=True, kw_only=True):
    """Consistent hashing on a ring."""

    minimum_ring_size: int = 1024
    """The least number of places on the ring: more share more evenly.
    Envoy: `ring_hash_lb_config.minimum_ring_size`."""


class Maglev(Part, frozen=True, kw_only=True):
    """Consistent hashing by Maglev's table."""

    table_size: int = 65537
    """The size of the table, a prime. Envoy: `maglev_lb_config.table_size`."""


class ConsistentHash(Part, frozen=True, kw_only=True):
    """Equal requests go to the same endpoint: by one of four things, on a ring or by a table."""

    http_header_name: str | None = None
    """The header whose value is hashed. Envoy: the route's `hash_policy.header`."""
    http_cookie: HttpCookie | None = None
    """The cookie whose value is hashed. Envoy: the route's `hash_policy.cookie`."""
    use_source_ip: bool | None = None
    """The caller's address is hashed; connections that are no requests have nothing else.
    Envoy: the route's `hash_policy.connection_properties`, or `tcp_proxy.hash_policy`."""
    http_query_parameter_name: str | None = None
    """The query parameter whose value is hashed. Envoy: the route's `hash_policy.query_parameter`."""
    ring_hash: RingHash | None = None
    """Endpoints stand on a ring; this is the usual. Envoy: `lb_policy` RING_HASH."""
    maglev: Maglev | None = None
    """Endpoints stand in a table: faster to look up, slower to change. Envoy: `lb_policy` MAGLEV."""
    minimum_ring_size: int = 0
    """Deprecated: write ringHash. Envoy: `ring_hash_lb_config.minimum_ring_size`."""


class Distribute(Part, frozen=True, kw_only=True):
    """Shares of the traffic from one locality."""

    from_: str = msgspec.field(name="from")
    """The callers' locality: `region/zone/subzone`, where `*` stands for any."""
    to: dict[str, int] = {}
    """The share of each locality in per cent; all add up to 100. Envoy: `load_balancing_weight` of localities."""


class Failover(Part, frozen=True, kw_only=True):
    """The region that takes over from another."""

    from_: str = msgspec.field(name="from")
    """The region whose endpoints fail."""
    to: str = ""
    """The region that is tried next. Envoy: `priority` of localities."""


class LocalityLbSetting(Part, frozen=True, kw_only=True):
    """How localities share the traffic: by distribute, by failover, or the nearest first."""

    enabled: bool | None = None
    """Whether places count at all; without a word they do."""
    distribute: tuple[Distribute, ...] = ()
    """Shares by the locality of the callers. Envoy: `load_balancing_weight` of localities."""
    failover: tuple[Failover, ...] = ()
    """Which region takes over from which. Envoy: `priority` of localities."""
    failover_priority: tuple[str, ...] = ()
    """Labels by which endpoints rank: the more of the first ones they share with the caller, the earlier.
    `label=value` counts where the endpoint has that value. Envoy: `priority` of localities."""


class Warmup(Part, frozen=True, kw_only=True):
    """How a new endpoint gets its share slowly; only with LEAST_REQUEST and ROUND_ROBIN."""

    duration: Duration
    """How long until an endpoint has its whole share. Envoy: `slow_start_config.slow_start_window`."""
    minimum_percent: float | None = None
    """The share to begin with, in per cent; 10 without a word. Envoy: `slow_start_config.min_weight_percent`."""
    aggression: float | None = None
    """How the share grows: evenly with 1, faster at first with more. Envoy: `slow_start_config.aggression`."""


class ZoneAwareLbSetting(Part, frozen=True, kw_only=True):
    """Callers keep to endpoints of their zone as far as these can carry it, and share out the rest.

    Envoy does it itself where it knows in which zones callers are: proxyMetadata
    `ISTIO_META_ENABLE_SELF_DISCOVERY: "true"` gives it `local_cluster`.
    """

    enabled: bool | None = None
    """Whether zones count in this way; without a word they do. Envoy: `zone_aware_lb_config`."""
    min_cluster_size: int | None = None
    """With fewer endpoints, zones do not count; 6 without. Envoy: `zone_aware_lb_config.min_cluster_size`."""
    failover: tuple[Failover, ...] = ()
    """Which region takes over from which; all zones of a region are alike. Envoy: `priority` of localities."""
    failover_priority: tuple[str, ...] = ()
    """Labels by which endpoints rank before their regions; not those of places. Envoy: `priority` of localities."""


class LoadBalancerSettings(Part, frozen=True, kw_only=True):
    """Which endpoint is next."""

    simple: Balancer = ""
    """How it is chosen; without a word LEAST_REQUEST. PASSTHROUGH is the address that the caller asked for.
    Envoy: `lb_policy`; `type` ORIGINAL_DST for PASSTHROUGH."""
    consistent_hash: ConsistentHash | None = None
    """Equal requests go to the same endpoint, in place of `simple`. Envoy: `lb_policy` and routes' `hash_policy`."""
    locality_lb_setting: LocalityLbSetting | None = None
    """How localities share the traffic. Envoy: `priority` and `load_balancing_weight` of localities."""
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    """How zones share the traffic by themselves, in place of `localityLbSetting`. Envoy: `zone_aware_lb_config`."""
    warmup: Warmup | None = None
    """How new endpoints get their share. Envoy: `slow_start_config`."""
    warmup_duration_secs: Duration = ""
    """Deprecated: write warmup. Envoy: `slow_start_config.slow_start_window`."""
