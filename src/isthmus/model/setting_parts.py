"""The settings of the mesh in parts, by what depends on them: a change of one part leaves the rest as it is.

A part is the same object as long as it is equal, so what is remembered by parts stays remembered.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from isthmus.api.istio.destination_rule import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    OutlierDetection,
    TcpKeepalive,
    TcpSettings,
)
from isthmus.api.istio.extension_provider import ExtensionProvider
from isthmus.api.istio.http_route import HTTPRetry
from isthmus.api.istio.mesh_config import DefaultProviders, TlsConfig
from isthmus.api.istio.proxy_config import ProxyConfig

Names = tuple[str, ...]


class Unknown(Enum):
    """What becomes of calls to destinations that nobody knows."""

    ALLOW = "ALLOW_ANY"
    REFUSE = "REGISTRY_ONLY"
    RESOLVE = "ALLOW_ANY_DYNAMIC_DNS"  # HTTP goes where its host's name leads, all else passes


class Exports(msgspec.Struct, frozen=True, kw_only=True):
    """To whom objects are shown that say nothing of it; empty: to all."""

    services: Names = ()
    virtual_services: Names = ()
    destination_rules: Names = ()


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What upstreams depend on."""

    connect_timeout_s: float = 10.0
    tcp_keepalive: TcpKeepalive | None = None
    dns_refresh_s: float = 5.0
    h2_upgrade: bool = False
    auto_mtls: bool = True
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    inbound_stat_name: str = ""
    outbound_stat_name: str = ""
    inbound_localhost: bool = False  # the application listens on loopback only
    tls: TlsConfig | None = None  # towards services that are not of the mesh
    dynamic_dns: bool = False
    dynamic_tls: ClientTLSSettings | None = None
    http_proxy: bool = False  # whether applications may name hosts to their proxies


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What routes depend on."""

    retry: HTTPRetry | None = None
    http_proxy: bool = False


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The access log that holds without any Telemetry."""

    path: str = ""  # empty: none
    format: str = ""  # empty: Istio's
    as_json: bool = False
    service: bool = False  # Envoy's access log service, at the address that proxies are told
    of_listeners: bool = True  # connections that no filter chain takes


class ListenerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What listeners depend on."""

    outbound_port: int = 15001
    inbound_port: int = 15006
    http_proxy_port: int = 0  # 0: none
    detection_s: float | None = None  # how long first bytes are waited for; None: as long as seems right
    paths: str = "DEFAULT"
    inbound_retry: HTTPRetry | None = None
    mutual_tls: TlsConfig | None = None
    own_tls: TlsConfig | None = None  # that is not the mesh's own
    usual_tcp: TcpSettings = TcpSettings()
    inbound_stat_name: str = ""
    outbound_stat_name: str = ""
    logs: LogSettings = LogSettings()
    traces: bool = True
    providers: tuple[ExtensionProvider, ...] = ()
    default_providers: DefaultProviders = DefaultProviders()
    proxy: ProxyConfig = ProxyConfig()
