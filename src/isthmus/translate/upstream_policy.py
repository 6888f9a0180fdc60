"""trafficPolicy → an upstream's load balancing, pools and outlier detection, and what holds without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import TypeVar

from isthmus.api.istio import destination_rule as api
from isthmus.api.istio.destination_rule import DestinationRule, Subset, TrafficPolicy
from isthmus.envoy.types import (
    BindConfig,
    CircuitBreakers,
    Cluster,
    HttpProtocolOptions,
    OutlierDetection,
    SocketOption,
)
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.errors import Unsayable, at

P = TypeVar("P")
UNLIMITED = 4_294_967_295
MARK = 1337
"""On packets of Envoy's own connections, so that capture lets them pass."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a DestinationRule says for one port of a service or of a subset of it."""

    load_balancer: api.LoadBalancerSettings | None = None
    connection_pool: api.ConnectionPoolSettings | None = None
    outlier_detection: api.OutlierDetection | None = None
    tls: api.ClientTLSSettings | None = None

    @property
    def http(self) -> api.HttpSettings:
        return (self.connection_pool and self.connection_pool.http) or api.HttpSettings()

    @property
    def tcp(self) -> api.TcpSettings:
        return (self.connection_pool and self.connection_pool.tcp) or api.TcpSettings()

    @property
    def consistent_hash(self) -> api.ConsistentHash | None:
        return self.load_balancer.consistent_hash if self.load_balancer else None


def policy_for(rule: DestinationRule | None, subset: Subset | None, port: int) -> Policy:
    """The policy that holds: a port's own replaces all else; a subset inherits what it leaves unset."""
    of_subset = subset.traffic_policy if subset else None
    of_host = rule.spec.traffic_policy if rule else None
    layers = [layer for layer in (of_subset, of_host) if layer is not None]
    for layer in layers:
        for own in layer.port_level_settings:
            if own.port and own.port.number == port:
                return Policy(own.load_balancer, own.connection_pool, own.outlier_detection, own.tls)
    return Policy(
        load_balancer=_first(layers, lambda layer: layer.load_balancer),
        connection_pool=_first(layers, lambda layer: layer.connection_pool),
        outlier_detection=_first(layers, lambda layer: layer.outlier_detection),
        tls=_first(layers, lambda layer: layer.tls),
    )


def _first(layers: list[TrafficPolicy], part: Callable[[TrafficPolicy], P | None]) -> P | None:
    return next((found for layer in layers if (found := part(layer)) is not None), None)


def detects_outliers(policy: Policy, crosses: bool) -> bool:
    """Whether endpoints that fail are put aside; without it there is no failover between localities."""
    return crosses or policy.outlier_detection is not None


def apply_load_balancer(upstream: Cluster, policy: Policy) -> None:
    """How the next endpoint is chosen. Source: DestinationRule reference, LoadBalancerSettings."""
    hashing = policy.consistent_hash
    if hashing is None:
        simple = policy.load_balancer.simple if policy.load_balancer else ""
        upstream.lb_policy = _SIMPLE.get(simple, Cluster.LEAST_REQUEST)
        _apply_warmup(upstream, policy)
    elif hashing.maglev:
        upstream.lb_policy = Cluster.MAGLEV
        upstream.maglev_lb_config.table_size.value = _prime(hashing.maglev.table_size or 65537)
    else:
        upstream.lb_policy = Cluster.RING_HASH
        size = hashing.ring_hash.minimum_ring_size if hashing.ring_hash else hashing.minimum_ring_size
        upstream.ring_hash_lb_config.minimum_ring_size.value = size or 1024


def _apply_warmup(upstream: Cluster, policy: Policy) -> None:
    """New endpoints get their share slowly. Source: Envoy's "Slow start mode"; only two ways know it."""
    asked = policy.load_balancer
    if asked is None or not (asked.warmup or asked.warmup_duration_secs):
        return
    match upstream.lb_policy:
        case Cluster.ROUND_ROBIN:
            slow = upstream.round_robin_lb_config.slow_start_config
        case Cluster.LEAST_REQUEST:
            slow = upstream.least_request_lb_config.slow_start_config
        case _:
            return
    warmup = asked.warmup or api.Warmup(duration=asked.warmup_duration_secs)
    with at("trafficPolicy.loadBalancer.warmup.duration"):
        slow.slow_start_window.CopyFrom(proto.seconds(duration.parse(warmup.duration)))
    slow.min_weight_percent.value = 10.0 if warmup.minimum_percent is None else warmup.minimum_percent
    slow.aggression.default_value = warmup.aggression or 1.0
    slow.aggression.runtime_key = f"{upstream.name}.aggression"


def _prime(size: int) -> int:
    """`size`, if it is prime, as Envoy asks of Maglev's table."""
    if size < 2 or any(size % divisor == 0 for divisor in range(2, min(isqrt(size), _ENOUGH) + 1)):
        path = "trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"
        raise Unsayable(path, f"{size} is not prime (hint: 65537)")
    return size


_ENOUGH = 2237
"""The root of the largest table that Envoy takes."""

_SIMPLE = {
    "RANDOM": Cluster.RANDOM,
    "ROUND_ROBIN": Cluster.ROUND_ROBIN,
    "LEAST_REQUEST": Cluster.LEAST_REQUEST,
    "LEAST_CONN": Cluster.LEAST_REQUEST,
}


def apply_limits(upstream: Cluster, policy: Policy) -> None:
    """Circuit breakers: no limit but where the policy names one."""
    http, tcp = policy.http, policy.tcp
    upstream.circuit_breakers.thresholds.append(
        CircuitBreakers.Thresholds(
            max_connections=proto.uint32(tcp.max_connections or UNLIMITED),
            max_pending_requests=proto.uint32(http.http1_max_pending_requests or UNLIMITED),
            max_requests=proto.uint32(http.http2_max_requests or UNLIMITED),
            max_retries=proto.uint32(http.max_retries or UNLIMITED),
            track_remaining=True,
        )
    )


def connect_timeout_s(policy: Policy, usual_s: float, crosses: bool) -> float:
    """Across clusters a link may be cut: waiting long for it would cost each caller that time."""
    if policy.tcp.connect_timeout:
        return duration.parse(policy.tcp.connect_timeout)
    return min(usual_s, 1.0) if crosses else usual_s


def apply_connection_options(upstream: Cluster, policy: Policy, crosses: bool) -> None:
    """Keepalive as asked for. Across clusters always, and unanswered data ends a connection within 3 s."""
    asked = policy.tcp.tcp_keepalive
    if asked is None and not crosses:
        return
    keepalive = upstream.upstream_connection_options.tcp_keepalive
    asked = asked or api.TcpKeepalive(probes=3, time="3s", interval="1s")
    keepalive.SetInParent()
    if asked.probes:
        keepalive.keepalive_probes.value = asked.probes
    if asked.time:
        keepalive.keepalive_time.value = int(duration.parse(asked.time))
    if asked.interval:
        keepalive.keepalive_interval.value = int(duration.parse(asked.interval))
    if crosses:
        # This replaces the bootstrap's options for all upstreams, so the mark is said again.
        upstream.upstream_bind_config.CopyFrom(
            BindConfig(socket_options=[mark(), _tcp_user_timeout(milliseconds=3000)])
        )


def mark() -> SocketOption:
    """SO_MARK, by which capture knows Envoy's own packets."""
    return SocketOption(
        description="SO_MARK", level=1, name=36, int_value=MARK, state=SocketOption.STATE_PREBIND
    )


def _tcp_user_timeout(milliseconds: int) -> SocketOption:
    return SocketOption(
        description="TCP_USER_TIMEOUT",
        level=6,
        name=18,
        int_value=milliseconds,
        state=SocketOption.STATE_PREBIND,
    )


def apply_outlier_detection(upstream: Cluster, policy: Policy, crosses: bool) -> None:
    """When an endpoint is put aside. Across clusters this is on by default: failover depends on it."""
    if policy.outlier_detection is not None:
        upstream.outlier_detection.CopyFrom(_as_asked(policy.outlier_detection))
        healthy_percent = policy.outlier_detection.min_health_percent
    elif crosses:
        upstream.outlier_detection.CopyFrom(_across_clusters())
        healthy_percent = 0
        upstream.close_connections_on_host_health_failure = True
    else:
        return
    # Below this share of healthy endpoints Envoy would use the ejected ones too.
    upstream.common_lb_config.healthy_panic_threshold.value = healthy_percent
    upstream.common_lb_config.locality_weighted_lb_config.SetInParent()


def _across_clusters() -> OutlierDetection:
    """Refused, reset or unanswered connections put an endpoint aside soon, answers 502 to 504 a bit later.

    Answers of the application itself (500) never do. It is tried again after five seconds, and after
    half a minute at the most: a healed link is found soon.
    """
    found = OutlierDetection(
        interval=proto.seconds(1),
        base_ejection_time=proto.seconds(5),
        max_ejection_time=proto.seconds(30),
        split_external_local_origin_errors=True,
    )
    found.max_ejection_percent.value = 100
    found.consecutive_local_origin_failure.value = 2
    found.enforcing_consecutive_local_origin_failure.value = 100
    found.consecutive_gateway_failure.value = 3
    found.enforcing_consecutive_gateway_failure.value = 100
    found.enforcing_consecutive_5xx.value = 0
    found.enforcing_success_rate.value = 0
    found.enforcing_local_origin_success_rate.value = 0
    return found


def _as_asked(asked: api.OutlierDetection) -> OutlierDetection:
    found = OutlierDetection(split_external_local_origin_errors=asked.split_external_local_origin_errors)
    found.enforcing_success_rate.value = 0
    if asked.interval:
        found.interval.CopyFrom(proto.seconds(duration.parse(asked.interval)))
    if asked.base_ejection_time:
        found.base_ejection_time.CopyFrom(proto.seconds(duration.parse(asked.base_ejection_time)))
    if asked.max_ejection_percent:
        found.max_ejection_percent.value = asked.max_ejection_percent
    server_errors = asked.consecutive_5xx_errors
    if server_errors is None and asked.consecutive_errors:
        server_errors = asked.consecutive_errors
    if server_errors is not None:
        found.consecutive_5xx.value = server_errors
        found.enforcing_consecutive_5xx.value = 100 if server_errors else 0
    if (gateway_errors := asked.consecutive_gateway_errors) is not None:
        found.consecutive_gateway_failure.value = gateway_errors
        found.enforcing_consecutive_gateway_failure.value = 100 if gateway_errors else 0
    if asked.split_external_local_origin_errors and asked.consecutive_local_origin_failures:
        found.consecutive_local_origin_failure.value = asked.consecutive_local_origin_failures
        found.enforcing_consecutive_local_origin_failure.value = 100
    return found


def http_limits(policy: Policy) -> HttpProtocolOptions | None:
    """Limits of connections that carry requests; None where the policy names none."""
    http, tcp = policy.http, policy.tcp
    options = HttpProtocolOptions()
    if idle := http.idle_timeout or tcp.idle_timeout:
        options.idle_timeout.CopyFrom(proto.seconds(duration.parse(idle)))
    if tcp.max_connection_duration:
        longest_s = duration.parse(tcp.max_connection_duration)
        options.max_connection_duration.CopyFrom(proto.seconds(longest_s))
    if http.max_requests_per_connection:
        options.max_requests_per_connection.value = http.max_requests_per_connection
    return options if options.ListFields() else None
