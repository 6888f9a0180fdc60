"""Which statistics Envoy keeps: all, or where a proxy names some, those beside the ones by which a mesh is run."""

from __future__ import annotations

from isthmus.api.istio.proxy_config import StatsMatcher

Tree = dict[str, object]

_ALWAYS = (
    *("server.", "cluster_manager.", "listener_manager.", "control_plane.", "filesystem.", "runtime."),
    *("cluster.xds-grpc.", "cluster.sds-grpc.", "listener.", "http.inbound_", "http.outbound_", "sds."),
)
"""Beginnings of names: what Istio keeps in any case, by the names that they have here."""


def stats_matcher(found: StatsMatcher | None) -> Tree:
    """Part of `stats_config`; nothing where all are kept: a statistic that is not kept costs no memory."""
    if found is None:
        return {}
    patterns: list[Tree] = [{"prefix": each} for each in (*_ALWAYS, *found.inclusion_prefixes)]
    patterns += [{"suffix": each} for each in found.inclusion_suffixes]
    patterns += [{"safe_regex": {"regex": each}} for each in found.inclusion_regexps]
    return {"stats_matcher": {"inclusion_list": {"patterns": patterns}}}
