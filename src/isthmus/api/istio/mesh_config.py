"""MeshConfig: ConfigMap `istio`, key `mesh`. Source: Istio's "Global Mesh Options", every field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.destination_rule import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    LocalityLbSetting,
    OutlierDetection,
    TcpKeepalive,
    ZoneAwareLbSetting,
)
from isthmus.api.istio.extension_provider import ExtensionProvider
from isthmus.api.istio.proxy_config import AtLeast1Ms, ProxyConfig, Seconds
from isthmus.api.istio.virtual_service import HTTPRetry
from isthmus.api.resource import Part
from isthmus.api.shape import Problem, converted, fitted
from isthmus.api.yaml import documents

Port = Annotated[int, Meta(ge=0, le=65535)]
Names = tuple[str, ...]


class OutboundTrafficPolicy(Part, frozen=True, kw_only=True):
    """What becomes of calls to unknown destinations."""

    mode: Literal["ALLOW_ANY", "REGISTRY_ONLY", "ALLOW_ANY_DYNAMIC_DNS"] = "ALLOW_ANY"
    tls: ClientTLSSettings | None = None


class InboundTrafficPolicy(Part, frozen=True, kw_only=True):
    """At which address a proxy calls the application beside it."""

    mode: Literal["PASSTHROUGH", "LOCALHOST"] = "PASSTHROUGH"


class ConfigSource(Part, frozen=True, kw_only=True):
    """Where configuration comes from."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    subscribed_resources: Names = ()


class CertificateData(Part, frozen=True, kw_only=True):
    """Further roots."""

    pem: str = ""
    spiffe_bundle_url: str = ""
    cert_signers: Names = ()
    trust_domains: Names = ()


class Certificate(Part, frozen=True, kw_only=True):
    """A certificate for DNS names; deprecated."""

    secret_name: str = ""
    dns_names: Names = ()


class Ca(Part, frozen=True, kw_only=True):
    """A CA elsewhere that signs for workloads."""

    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    request_timeout: Seconds = ""
    istiod_side: bool | None = None


class SelectedSettings(Part, frozen=True, kw_only=True):
    """What holds for some services."""

    cluster_local: bool = False


class ServiceSettings(Part, frozen=True, kw_only=True):
    """Services by their hosts, and what holds for them."""

    settings: SelectedSettings = SelectedSettings()
    hosts: Names = ()


class LabelSelectorRequirement(Part, frozen=True, kw_only=True):
    """A condition on one label."""

    key: str = ""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = "In"
    values: Names = ()


class LabelSelector(Part, frozen=True, kw_only=True):
    """Objects by their labels."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()


class ServiceScopeConfig(Part, frozen=True, kw_only=True):
    """How far services are seen in an ambient mesh."""

    namespace_selector: LabelSelector | None = None
    services_selector: LabelSelector | None = None
    scope: Literal["LOCAL", "GLOBAL"] = "LOCAL"


class DefaultProviders(Part, frozen=True, kw_only=True):
    """The providers that are used where a Telemetry names none."""

    tracing: Names = ()
    metrics: Names = ()
    access_logging: Names = ()


class PathNormalization(Part, frozen=True, kw_only=True):
    """What becomes of a path before it is looked at."""

    normalization: Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] = "DEFAULT"


class DefaultTrafficPolicy(Part, frozen=True, kw_only=True):
    """What holds for calls of which no DestinationRule speaks."""

    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None


class TlsConfig(Part, frozen=True, kw_only=True):
    """How strong TLS is."""

    min_protocol_version: Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    ecdh_curves: Names = ()
    cipher_suites: Names = ()


class MeshConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Settings of the whole mesh; None, empty: nothing is said."""

    proxy_listen_port: Port = 0
    proxy_inbound_listen_port: Port = 0
    proxy_http_port: Port = 0
    connect_timeout: AtLeast1Ms = ""
    hbone_idle_timeout: Seconds = ""
    tcp_keepalive: TcpKeepalive | None = None
    protocol_detection_timeout: Seconds = ""
    ingress_class: str = ""
    ingress_service: str = ""
    ingress_controller_mode: Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"] = "UNSPECIFIED"
    ingress_selector: str = ""
    enable_tracing: bool | None = None
    access_log_file: str | None = None
    access_log_format: str = ""
    access_log_encoding: Literal["TEXT", "JSON"] = "TEXT"
    enable_envoy_access_log_service: bool = False
    disable_envoy_listener_log: bool = False
    default_config: ProxyConfig | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    inbound_traffic_policy: InboundTrafficPolicy | None = None
    config_sources: tuple[ConfigSource, ...] = ()
    enable_auto_mtls: bool | None = None
    trust_domain: str | None = None
    trust_domain_aliases: Names = ()
    ca_certificates: tuple[CertificateData, ...] = ()
    default_service_export_to: Names = ()
    default_virtual_service_export_to: Names = ()
    default_destination_rule_export_to: Names = ()
    root_namespace: str | None = None
    locality_lb_setting: LocalityLbSetting | None = None
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    dns_refresh_rate: AtLeast1Ms = ""
    h2_upgrade_policy: Literal["DO_NOT_UPGRADE", "UPGRADE"] = msgspec.field(
        default="DO_NOT_UPGRADE", name="h2UpgradePolicy"
    )
    inbound_cluster_stat_name: str = ""
    outbound_cluster_stat_name: str = ""
    certificates: tuple[Certificate, ...] = ()
    service_settings: tuple[ServiceSettings, ...] = ()
    enable_prometheus_merge: bool | None = None
    verify_certificate_at_client: bool | None = None
    ca: Ca | None = None
    extension_providers: tuple[ExtensionProvider, ...] = ()
    default_providers: DefaultProviders | None = None
    discovery_selectors: tuple[LabelSelector, ...] = ()
    path_normalization: PathNormalization | None = None
    default_http_retry_policy: HTTPRetry | None = None
    default_inbound_http_retry_policy: HTTPRetry | None = None
    default_traffic_policy: DefaultTrafficPolicy | None = None
    mesh_mtls: TlsConfig | None = msgspec.field(default=None, name="meshMTLS")
    tls_defaults: TlsConfig | None = None
    service_scope_configs: tuple[ServiceScopeConfig, ...] = ()
    service_entry_visibility: dict[str, object] | None = None


class ReadMeshConfig(NamedTuple):
    """A mesh configuration, and what it has that nobody reads."""

    config: MeshConfig
    unknown: tuple[Problem, ...] = ()


def read_mesh_config(text: str) -> ReadMeshConfig:
    """The mesh configuration in `text`, YAML, whose shape is checked: `mesh_config_problems` knows the rest.

    Raises `InvalidConfig` with all that has the wrong shape; paths are those within the text.
    """
    found = [document.value for document in documents(text)]
    if not found:
        return ReadMeshConfig(MeshConfig())
    if not isinstance(found[0], Mapping):
        raise InvalidConfig("$", "is no mapping (hint: fields of MeshConfig, a line each: trustDomain: …)")
    fit = fitted(found[0], MeshConfig)
    if fit.wrong:
        raise InvalidConfig(*fit.wrong[0], others=fit.wrong[1:])
    return ReadMeshConfig(converted(fit, MeshConfig), fit.unknown)
