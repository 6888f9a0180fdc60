"""tcp_proxy: bytes to one upstream, or to several by weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from isthmus.envoy.types import AccessLog, Filter, TcpProxy
from isthmus.translate import proto
from isthmus.translate.connections import USUAL, Manner

NAME = "envoy.filters.network.tcp_proxy"

ConnectMode = Literal["IMMEDIATE", "ON_DOWNSTREAM_DATA"]
_EARLY_BYTES = 65_536  # of a caller are kept while the upstream is being called; then it must wait


def to_upstream(upstream: str, logs: Iterable[AccessLog] = (), how: Manner = USUAL) -> Filter:
    """Bytes go to `upstream`."""
    return to_upstreams([(upstream, 1)], logs, upstream, how)


def to_upstreams(
    weighted: Sequence[tuple[str, int]], logs: Iterable[AccessLog], stat_prefix: str, how: Manner = USUAL
) -> Filter:
    """Connections go to each upstream in proportion to its weight; those of weight 0 to none."""
    when: ConnectMode = "ON_DOWNSTREAM_DATA" if how.waits else "IMMEDIATE"
    proxy = TcpProxy(stat_prefix=stat_prefix, access_log=logs, upstream_connect_mode=when)
    used = [(upstream, weight) for upstream, weight in weighted if weight > 0]
    if len(used) == 1:
        proxy.cluster = used[0][0]
    else:
        for upstream, weight in used:
            proxy.weighted_clusters.clusters.add(name=upstream, weight=weight)
    _apply(proxy, how)
    return Filter(name=NAME, typed_config=proto.any_of(proxy))


def _apply(proxy: TcpProxy, how: Manner) -> None:
    if how.idle_s is not None:
        proxy.idle_timeout.CopyFrom(proto.seconds(how.idle_s))
    if how.longest_s is not None:
        proxy.max_downstream_connection_duration.CopyFrom(proto.seconds(how.longest_s))
    if how.by_source:
        proxy.hash_policy.add().source_ip.SetInParent()
    if how.waits:
        proxy.max_early_data_bytes.value = _EARLY_BYTES
    if how.through:
        proxy.tunneling_config.hostname = how.through
        proxy.tunneling_config.use_post = how.by_post
