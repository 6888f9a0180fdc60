"""The settings of the mesh, out of ConfigMap `istio`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig, Problem
from isthmus.api.istio.destination_rule import ConnectionPoolSettings, TcpSettings
from isthmus.api.istio.mesh_config import (
    DefaultProviders,
    DefaultTrafficPolicy,
    InboundTrafficPolicy,
    MeshConfig,
    OutboundTrafficPolicy,
)
from isthmus.api.istio.proxy_config import ProxyConfig
from isthmus.api.resource import Object, Ref
from isthmus.api.without_effect import without_effect
from isthmus.kit import duration
from isthmus.model import trust_bundles
from isthmus.model.fetched_bundles import Known
from isthmus.model.findings import Code, Finding
from isthmus.model.mesh import MeshSettings, local_words
from isthmus.model.mesh_config_problems import checked_mesh_config
from isthmus.model.setting_parts import (
    Exports,
    ListenerSettings,
    LogSettings,
    RouteSettings,
    Unknown,
    UpstreamSettings,
)

T = TypeVar("T")


class Read(NamedTuple):
    """What came of reading: settings, or None where they cannot be used, and what is to be said of it."""

    settings: MeshSettings | None
    findings: tuple[Finding, ...] = ()


def read_settings(found: Object | None, base: MeshSettings) -> Read:
    """`base` with what the ConfigMap says; `base` itself where there is none."""
    if not isinstance(found, ConfigMap):
        return Read(base)
    try:
        config, unread = checked_mesh_config(found.data.get("mesh", ""))
    except InvalidConfig as error:
        return Read(None, tuple(_told(found, base, error.problems, Code.SCHEMA)))
    silent = (*unread, *without_effect(config))
    return Read(settings_of(config, base), tuple(_told(found, base, silent, Code.NO_EFFECT)))


def read_all(
    objects: Mapping[Ref, Object], ref: Ref, base: MeshSettings, before: MeshSettings, known: Known
) -> tuple[MeshSettings, tuple[Finding, ...]]:
    """What the ConfigMap `ref` says and that with bundles of roots beside it; of what cannot be read `before` stays.

    `known`: the bundles that are fetched from URLs.
    """
    settings, findings = read_settings(objects.get(ref), base)
    settings = settings or before
    exchanged = objects.get(ref._replace(name=trust_bundles.CONFIG_MAP))
    roots = settings.trust_domain, settings.written.ca_certificates
    where = ref, base.config_cluster
    bundles, unread = trust_bundles.read_bundles(exchanged, roots, before.bundles, known, where)
    if bundles != settings.bundles:
        settings = msgspec.structs.replace(settings, bundles=bundles)
    return settings, (*findings, *unread)


def _told(found: ConfigMap, base: MeshSettings, said: Iterable[Problem], code: Code) -> Iterable[Finding]:
    ref = Ref("ConfigMap", found.metadata.namespace, found.metadata.name)
    for path, message in said:
        where, cluster = f"$.data.mesh{path.removeprefix('$')}", base.config_cluster
        yield Finding(
            ref=ref, path=where, message=message, cluster=cluster, severity=code.severity, code=code
        )


def settings_of(config: MeshConfig, base: MeshSettings) -> MeshSettings:
    """`base` with what `config` says."""
    outbound = config.outbound_traffic_policy
    local = ((each.settings.cluster_local, each.hosts) for each in config.service_settings)
    said = tuple((host, is_local) for is_local, hosts in local for host in hosts)
    return msgspec.structs.replace(
        base,
        trust_domain=_or(config.trust_domain, base.trust_domain),
        trust_domain_aliases=config.trust_domain_aliases,
        root_namespace=_or(config.root_namespace, base.root_namespace),
        unknown=Unknown(outbound.mode) if outbound is not None else base.unknown,
        exports=Exports(
            services=config.default_service_export_to,
            virtual_services=config.default_virtual_service_export_to,
            destination_rules=config.default_destination_rule_export_to,
        ),
        locality_lb_setting=_or(config.locality_lb_setting, base.locality_lb_setting),
        zone_aware_lb_setting=config.zone_aware_lb_setting,
        upstream=_upstream(config, base.upstream),
        listener=_listener(config, base.listener),
        route=RouteSettings(retry=config.default_http_retry_policy, http_proxy=bool(config.proxy_http_port)),
        local=local_words(said, base.domain) if said else base.local,
        written=config,
    )


def _upstream(config: MeshConfig, base: UpstreamSettings) -> UpstreamSettings:
    usual = config.default_traffic_policy or DefaultTrafficPolicy()
    outbound = config.outbound_traffic_policy or OutboundTrafficPolicy()
    inbound = config.inbound_traffic_policy or InboundTrafficPolicy()
    return UpstreamSettings(
        connect_timeout_s=_seconds(config.connect_timeout, base.connect_timeout_s),
        tcp_keepalive=config.tcp_keepalive,
        dns_refresh_s=_seconds(config.dns_refresh_rate, base.dns_refresh_s),
        h2_upgrade=config.h2_upgrade_policy == "UPGRADE",
        auto_mtls=config.enable_auto_mtls is not False,
        connection_pool=usual.connection_pool,
        outlier_detection=usual.outlier_detection,
        inbound_stat_name=config.inbound_cluster_stat_name,
        outbound_stat_name=config.outbound_cluster_stat_name,
        inbound_localhost=inbound.mode == "LOCALHOST",
        tls=config.tls_defaults,
        dynamic_dns=outbound.mode == "ALLOW_ANY_DYNAMIC_DNS",
        dynamic_tls=outbound.tls,
        http_proxy=bool(config.proxy_http_port),
    )


def _listener(config: MeshConfig, base: ListenerSettings) -> ListenerSettings:
    paths, usual = config.path_normalization, config.default_traffic_policy or DefaultTrafficPolicy()
    pool = usual.connection_pool or ConnectionPoolSettings()
    return ListenerSettings(
        outbound_port=config.proxy_listen_port or base.outbound_port,
        inbound_port=config.proxy_inbound_listen_port or base.inbound_port,
        http_proxy_port=config.proxy_http_port,
        detection_s=_seconds(config.protocol_detection_timeout, None),
        paths=paths.normalization if paths is not None else base.paths,
        inbound_retry=config.default_inbound_http_retry_policy,
        mutual_tls=config.mesh_mtls,
        own_tls=config.tls_defaults,
        usual_tcp=pool.tcp or TcpSettings(),
        inbound_stat_name=config.inbound_cluster_stat_name,
        outbound_stat_name=config.outbound_cluster_stat_name,
        logs=LogSettings(
            path=_or(config.access_log_file, base.logs.path),
            format=config.access_log_format,
            as_json=config.access_log_encoding == "JSON",
            service=config.enable_envoy_access_log_service,
            of_listeners=not config.disable_envoy_listener_log,
        ),
        traces=config.enable_tracing is not False,
        providers=config.extension_providers,
        default_providers=config.default_providers or DefaultProviders(),
        proxy=config.default_config or ProxyConfig(),
    )


def _seconds(text: str, usual: T) -> float | T:
    return duration.parse(text) if text else usual


def _or(found: T | None, usual: T) -> T:
    return found if found is not None else usual


PARTS = (
    *("bundles", "exports", "local", "locality_lb_setting", "zone_aware_lb_setting"),
    *("upstream", "listener", "route", "written"),
)


def with_same_parts(before: MeshSettings, after: MeshSettings) -> MeshSettings:
    """`after` with those parts of `before` that are equal; `before` itself where all is."""
    if before == after:
        return before
    kept = {name: old for name in PARTS if (old := getattr(before, name)) == getattr(after, name)}
    return msgspec.structs.replace(after, **kept)
