"""Which statistics Envoy keeps: those by which a mesh is run and watched, and what a proxy names beside them.

One that is not kept costs no memory, and an upstream has more than a hundred. Source: Istio's "Envoy Statistics" and
its bootstrap; there calls are counted by a filter that stock Envoy has not, so here Envoy's own counts of them stay.
"""

from __future__ import annotations

from isthmus.api.istio.proxy_config import StatsMatcher

Tree = dict[str, object]

_BEGINNINGS = (
    *("server.", "cluster_manager.", "listener_manager.", "control_plane.", "filesystem.", "runtime."),
    *("cluster.xds-grpc.", "cluster.sds-grpc.", "listener.", "http.", "tcp.", "udp.", "sds.", "wasm"),
)
_ENDS = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied", "downstream_cx_active")
_CALLS = r"upstream_rq_(total|time|active|retry|timeout|pending_overflow|[1-5]xx|[1-5]\d\d)"
_CONNECTIONS = r"upstream_cx_(total|active|connect_fail|connect_timeout|overflow|[rt]x_bytes_total)"
_HEALTH = r"membership_(healthy|total)|lb_healthy_panic|outlier_detection\.ejections_(active|enforced_total)"
_EXPRESSIONS = (
    rf"cluster\..+\.({_CALLS}|{_CONNECTIONS}|{_HEALTH})",
    r"vhost\..+\.route\..+",  # what a VirtualService's `statPrefix` counts
)


def stats_matcher(found: StatsMatcher) -> Tree:
    """Part of `stats_config`."""
    patterns: list[Tree] = [{"prefix": each} for each in (*_BEGINNINGS, *found.inclusion_prefixes)]
    patterns += [{"suffix": each} for each in (*_ENDS, *found.inclusion_suffixes)]
    patterns += [{"safe_regex": {"regex": each}} for each in (*_EXPRESSIONS, *found.inclusion_regexps)]
    return {"stats_matcher": {"inclusion_list": {"patterns": patterns}}}


def histogram_buckets(found: tuple[tuple[str, tuple[float, ...]], ...]) -> Tree:
    """Part of `stats_config`: the bounds of the histograms whose names begin so."""
    settings = [{"match": {"prefix": name}, "buckets": list(bounds)} for name, bounds in found]
    return {"histogram_bucket_settings": settings} if settings else {}
