"""Hosts that nobody knows, asked for by name: Envoy resolves the `Host` of each request. Mode ALLOW_ANY_DYNAMIC_DNS."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.destination_rule import ClientTLSSettings
from isthmus.envoy.types import (
    Cluster,
    DnsCacheConfig,
    DynamicForwardProxy,
    DynamicForwardProxyCluster,
    EnvoyHttpFilter,
)
from isthmus.model.setting_parts import UpstreamSettings
from isthmus.translate import names, proto
from isthmus.translate.upstream_tls import apply_tls_outside

_MOST_HOSTS = 1024


def dynamic_upstreams(settings: UpstreamSettings) -> Iterator[Cluster]:
    """The upstreams that are wherever a request's host is: of captured requests, and of those sent to the proxy."""
    if settings.dynamic_dns:
        yield _dynamic(names.DYNAMIC_DNS, settings, settings.dynamic_tls)
    if settings.http_proxy:
        yield _dynamic(names.HTTP_PROXY, settings, None)


def _dynamic(name: str, settings: UpstreamSettings, tls: ClientTLSSettings | None) -> Cluster:
    upstream = Cluster(name=name, connect_timeout=proto.seconds(settings.connect_timeout_s))
    upstream.lb_policy = Cluster.CLUSTER_PROVIDED
    apply_tls_outside(upstream, tls, "")
    config = DynamicForwardProxyCluster(dns_cache_config=_cache(settings.dns_refresh_s))
    # Else Envoy insists on asking for, and verifying, the host of each request.
    config.allow_insecure_cluster_options = _names_itself(tls)
    upstream.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
    upstream.cluster_type.typed_config.CopyFrom(proto.any_of(config))
    return upstream


def _names_itself(tls: ClientTLSSettings | None) -> bool:
    return tls is not None and bool(tls.sni or tls.subject_alt_names or tls.insecure_skip_verify)


def dynamic_filter(refresh_s: float) -> EnvoyHttpFilter:
    """The filter that waits until the host of a request is resolved, where its route leads to that upstream."""
    config = DynamicForwardProxy(dns_cache_config=_cache(refresh_s))
    return EnvoyHttpFilter(name="envoy.filters.http.dynamic_forward_proxy", typed_config=proto.any_of(config))


def _cache(refresh_s: float) -> DnsCacheConfig:
    """One cache by its name: all who use it must say the same of it, also those of before a change."""
    cache = DnsCacheConfig(name=f"unknown-hosts-{refresh_s:g}s", dns_lookup_family=Cluster.V4_PREFERRED)
    cache.dns_refresh_rate.CopyFrom(proto.seconds(refresh_s))
    cache.max_hosts.value = _MOST_HOSTS
    return cache
