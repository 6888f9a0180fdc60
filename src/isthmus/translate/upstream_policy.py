"""trafficPolicy → an upstream's load balancing and pools, and what holds without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import TypeVar

import msgspec

from isthmus.api.istio import destination_rule as api
from isthmus.api.istio.destination_rule import DestinationRule, PortTrafficPolicy, Subset, TrafficPolicy
from isthmus.api.istio.load_balancer import ConsistentHash, LoadBalancerSettings, Warmup
from isthmus.envoy.types import (
    BindConfig,
    CircuitBreakers,
    Cluster,
    SocketOption,
)
from isthmus.kit import duration
from isthmus.translate import proto
from isthmus.translate.errors import Unsayable, at

P = TypeVar("P")
L = TypeVar("L")
UNLIMITED = 4_294_967_295
MARK = 1337
"""On packets of Envoy's own connections, so that capture lets them pass."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a DestinationRule says for one port of a service or of a subset of it."""

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: api.ConnectionPoolSettings | None = None
    outlier_detection: api.OutlierDetection | None = None
    tls: api.ClientTLSSettings | None = None
    tunnel: api.TunnelSettings | None = None
    proxy_protocol: api.ProxyProtocol | None = None
    retry_budget: api.RetryBudget | None = None

    @property
    def http(self) -> api.HttpSettings:
        return (self.connection_pool and self.connection_pool.http) or api.HttpSettings()

    @property
    def tcp(self) -> api.TcpSettings:
        return (self.connection_pool and self.connection_pool.tcp) or api.TcpSettings()

    @property
    def consistent_hash(self) -> ConsistentHash | None:
        return self.load_balancer.consistent_hash if self.load_balancer else None


def policy_for(rule: DestinationRule | None, subset: Subset | None, port: int) -> Policy:
    """The policy that holds: a subset inherits what it leaves unset.

    What is said for a port takes the place of all that can be said for one, whether it says that or not.
    """
    of_subset = subset.traffic_policy if subset else None
    of_host = rule.spec.traffic_policy if rule else None
    layers = [layer for layer in (of_subset, of_host) if layer is not None]
    by_port = (own for layer in layers for own in layer.port_level_settings)
    here = next((own for own in by_port if own.port and own.port.number == port), None)
    of_port: Sequence[TrafficPolicy | PortTrafficPolicy] = layers if here is None else [here]
    return Policy(
        load_balancer=_first(of_port, lambda layer: layer.load_balancer),
        connection_pool=_first(of_port, lambda layer: layer.connection_pool),
        outlier_detection=_first(of_port, lambda layer: layer.outlier_detection),
        tls=_first(of_port, lambda layer: layer.tls),
        tunnel=_first(layers, lambda layer: layer.tunnel),
        proxy_protocol=_first(layers, lambda layer: layer.proxy_protocol),
        retry_budget=_first(layers, lambda layer: layer.retry_budget),
    )


def sticking(policy: Policy) -> Policy:
    """The same where each caller shall stay at one endpoint, which is found by its address; what is said counts."""
    said = policy.load_balancer or LoadBalancerSettings()
    if said.simple not in {"", "UNSPECIFIED"} or said.consistent_hash is not None:
        return policy
    by_caller = msgspec.structs.replace(said, consistent_hash=ConsistentHash(use_source_ip=True))
    return replace(policy, load_balancer=by_caller)


def essence(policy: Policy) -> Policy:
    """The part of `policy` without which a server would not understand, or bytes be seen that should not."""
    return Policy(tls=policy.tls, proxy_protocol=policy.proxy_protocol)


def with_usual(policy: Policy, usual: api.TcpSettings) -> Policy:
    """`policy`, with what is usual of connections where it says nothing of them."""
    if policy.connection_pool is not None or usual == api.TcpSettings():
        return policy
    return replace(policy, connection_pool=api.ConnectionPoolSettings(tcp=usual))


def tls_place(rule: DestinationRule, subset: str, port: int) -> str:
    """The path of the TLS settings that `policy_for` finds for a port; empty where it finds none."""
    number = next((index for index, each in enumerate(rule.spec.subsets) if each.name == subset), None)
    layers = [("$.spec.trafficPolicy", rule.spec.traffic_policy)]
    if number is not None:
        layers.insert(
            0, (f"$.spec.subsets[{number}].trafficPolicy", rule.spec.subsets[number].traffic_policy)
        )
    said = [(path, layer) for path, layer in layers if layer is not None]
    for path, layer in said:
        for index, own in enumerate(layer.port_level_settings):
            if own.port and own.port.number == port:
                return f"{path}.portLevelSettings[{index}].tls" if own.tls is not None else ""
    return next((f"{path}.tls" for path, layer in said if layer.tls is not None), "")


def _first(layers: Sequence[L], part: Callable[[L], P | None]) -> P | None:
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
    warmup = asked.warmup or Warmup(duration=asked.warmup_duration_secs)
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
    limits = CircuitBreakers.Thresholds(
        max_connections=proto.uint32(tcp.max_connections or UNLIMITED),
        max_pending_requests=proto.uint32(http.http1_max_pending_requests or UNLIMITED),
        max_requests=proto.uint32(http.http2_max_requests or UNLIMITED),
        max_retries=proto.uint32(http.max_retries or UNLIMITED),
        track_remaining=True,
    )
    if (budget := policy.retry_budget) is not None:
        # Envoy's own defaults, said so that the budget counts even where it says nothing.
        limits.retry_budget.budget_percent.value = 20.0 if budget.percent is None else budget.percent
        least = 3 if budget.min_retry_concurrency is None else budget.min_retry_concurrency
        limits.retry_budget.min_retry_concurrency.value = least
        if budget.budget_interval:
            with at("trafficPolicy.retryBudget.budgetInterval"):
                interval = proto.seconds(duration.parse(budget.budget_interval))
            limits.retry_budget.budget_interval.CopyFrom(interval)
    upstream.circuit_breakers.thresholds.append(limits)


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
    apply_keepalive(upstream, asked or api.TcpKeepalive(probes=3, time="3s", interval="1s"))
    if crosses:
        # This replaces the bootstrap's options for all upstreams, so the mark is said again.
        upstream.upstream_bind_config.CopyFrom(
            BindConfig(socket_options=[mark(), _tcp_user_timeout(milliseconds=3000)])
        )


def apply_keepalive(upstream: Cluster, asked: api.TcpKeepalive) -> None:
    """Probes of idle connections; what is not said is as the system has it."""
    keepalive = upstream.upstream_connection_options.tcp_keepalive
    keepalive.SetInParent()
    if asked.probes:
        keepalive.keepalive_probes.value = asked.probes
    if asked.time:
        keepalive.keepalive_time.value = int(duration.parse(asked.time))
    if asked.interval:
        keepalive.keepalive_interval.value = int(duration.parse(asked.interval))


def mark(value: int = MARK) -> SocketOption:
    """SO_MARK, by which capture knows Envoy's own packets."""
    return SocketOption(
        description="SO_MARK", level=1, name=36, int_value=value, state=SocketOption.STATE_PREBIND
    )


def _tcp_user_timeout(milliseconds: int) -> SocketOption:
    return SocketOption(
        description="TCP_USER_TIMEOUT",
        level=6,
        name=18,
        int_value=milliseconds,
        state=SocketOption.STATE_PREBIND,
    )
