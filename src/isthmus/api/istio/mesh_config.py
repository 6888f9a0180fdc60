"""MeshConfig: ConfigMap `istio`, key `mesh`. Source: Istio's "Global Mesh Options", every field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from isthmus.api.core.label_selector import LabelSelector
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.destination_rule import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    OutlierDetection,
    TcpKeepalive,
)
from isthmus.api.istio.extension_provider import ExtensionProvider
from isthmus.api.istio.http_route import HTTPRetry
from isthmus.api.istio.load_balancer import LocalityLbSetting, ZoneAwareLbSetting
from isthmus.api.istio.proxy_config import ProxyConfig
from isthmus.api.resource import Part
from isthmus.api.shape import Shaped, shaped
from isthmus.api.words import AtLeast1Ms, Duration, PortNumber
from isthmus.api.yaml import documents

Names = tuple[str, ...]


class OutboundTrafficPolicy(Part, frozen=True, kw_only=True):
    """What becomes of calls to unknown destinations."""

    mode: Literal["ALLOW_ANY", "REGISTRY_ONLY", "ALLOW_ANY_DYNAMIC_DNS"] = "ALLOW_ANY"
    """ALLOW_ANY passes them, REGISTRY_ONLY refuses them (502 for HTTP), ALLOW_ANY_DYNAMIC_DNS sends
    requests where their host's name leads. Envoy: the virtual host `allow_any`, `block_all` or
    `allow_any_dynamic_dns`."""
    tls: ClientTLSSettings | None = None
    """TLS that ALLOW_ANY_DYNAMIC_DNS speaks to such hosts, on port 443 where the host names none; without, they
    are asked as the application wrote it. Envoy: the `transport_socket` of `AllowAnyDynamicDNSCluster`."""


class InboundTrafficPolicy(Part, frozen=True, kw_only=True):
    """At which address a proxy calls the application beside it."""

    mode: Literal["PASSTHROUGH", "LOCALHOST"] = "PASSTHROUGH"
    """PASSTHROUGH calls the application at the pod's address, LOCALHOST at 127.0.0.1. Envoy: the
    upstreams `inbound|…`."""


class ConfigSource(Part, frozen=True, kw_only=True):
    """Where configuration comes from."""

    address: str = ""
    """Where."""
    tls_settings: ClientTLSSettings | None = None
    """How it is spoken to."""
    subscribed_resources: Names = ()
    """What is read there."""


class CertificateData(Part, frozen=True, kw_only=True):
    """Further roots."""

    pem: str = ""
    """The roots, in PEM."""
    spiffe_bundle_url: str = ""
    """Where a SPIFFE bundle with the roots is fetched, over HTTPS, again and again; `trustDomains` say for whom.
    Envoy: `trust_domains` of the SPIFFE validator, in the secret `ROOTCA` of agents."""
    cert_signers: Names = ()
    """The signers of Kubernetes whose certificates the roots prove (Citadel's `--issuer kubernetes:SIGNER`); without,
    all."""
    trust_domains: Names = ()
    """The trust domains that the roots vouch for; without, the mesh's own and its aliases."""


class Certificate(Part, frozen=True, kw_only=True):
    """A certificate for DNS names; deprecated."""

    secret_name: str = ""
    """The Secret."""
    dns_names: Names = ()
    """The names."""


class Ca(Part, frozen=True, kw_only=True):
    """A CA elsewhere that signs for workloads."""

    address: str = ""
    """Where it is."""
    tls_settings: ClientTLSSettings | None = None
    """How it is spoken to."""
    request_timeout: Duration = ""
    """How long it may take."""
    istiod_side: bool | None = None
    """Whether the control plane asks it."""


class SelectedSettings(Part, frozen=True, kw_only=True):
    """What holds for some services."""

    cluster_local: bool = False
    """Whether a cluster's callers reach endpoints of their own cluster alone. Without a word so it is for the
    namespace kube-system and for kubernetes.default."""


class ServiceSettings(Part, frozen=True, kw_only=True):
    """Services by their hosts, and what holds for them."""

    settings: SelectedSettings = SelectedSettings()
    """What holds for them."""
    hosts: Names = ()
    """The services: names, or patterns as `*.ns.svc.cluster.local`; the most specific one counts."""


class ServiceScopeConfig(Part, frozen=True, kw_only=True):
    """How far services are seen in an ambient mesh."""

    namespace_selector: LabelSelector | None = None
    """Namespaces."""
    services_selector: LabelSelector | None = None
    """Services."""
    scope: Literal["LOCAL", "GLOBAL"] = "LOCAL"
    """How far they are seen."""


class DefaultProviders(Part, frozen=True, kw_only=True):
    """The providers that are used where a Telemetry names none."""

    tracing: Names = ()
    """Who gets spans where no Telemetry names a provider: the first. Envoy: `tracing`."""
    metrics: Names = ()
    """No effect: metrics are Envoy's own here."""
    access_logging: Names = ()
    """Who gets logs where no Telemetry names a provider; then `accessLogFile` counts no more. Envoy:
    `access_log`."""


class PathNormalization(Part, frozen=True, kw_only=True):
    """What becomes of a path before it is looked at."""

    normalization: Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] = "DEFAULT"
    """BASE resolves dots, MERGE_SLASHES also joins slashes, DECODE_AND_MERGE_SLASHES also decodes %2F and
    %5C; DEFAULT is BASE. Envoy: `normalize_path`, `merge_slashes`, `path_with_escaped_slashes_action`."""


class DefaultTrafficPolicy(Part, frozen=True, kw_only=True):
    """What holds for calls of which no DestinationRule speaks."""

    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections and requests. Envoy: `circuit_breakers` and protocol options."""
    outlier_detection: OutlierDetection | None = None
    """When endpoints are put aside. Envoy: `outlier_detection`."""


class TlsConfig(Part, frozen=True, kw_only=True):
    """How strong TLS is."""

    min_protocol_version: Literal["TLS_AUTO", "TLSV1_2", "TLSV1_3"] = "TLS_AUTO"
    """The oldest version that is taken; TLS_AUTO is TLS 1.2. Envoy: `tls_minimum_protocol_version`."""
    ecdh_curves: Names = ()
    """The curves that are offered. Envoy: `ecdh_curves`."""
    cipher_suites: Names = ()
    """The ciphers that are offered up to TLS 1.2. Envoy: `cipher_suites`."""


class MeshConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Settings of the whole mesh; None, empty: nothing is said."""

    proxy_listen_port: PortNumber = 0
    """Where captured calls of applications arrive; 15001 without. Envoy: the address of
    `virtualOutbound`. The capture of pods must be told the same."""
    proxy_inbound_listen_port: PortNumber = 0
    """Where captured calls to applications arrive; 15006 without. Envoy: the address of
    `virtualInbound`."""
    proxy_http_port: PortNumber = 0
    """Where, on 127.0.0.1, sidecars take requests to hosts that the application names, as with
    `http_proxy=127.0.0.1:PORT`; nowhere without. Envoy: the listener `127.0.0.1_PORT`, the routes and the upstream
    `http_proxy`."""
    connect_timeout: AtLeast1Ms = ""
    """How long connecting may take where no DestinationRule says it; 10s without, and a second across
    clusters. Envoy: `connect_timeout`."""
    hbone_idle_timeout: Duration = ""
    """No effect: there is no ambient mode here."""
    tcp_keepalive: TcpKeepalive | None = None
    """Probes of idle connections where no DestinationRule says it. Envoy: `tcp_keepalive`."""
    protocol_detection_timeout: Duration = ""
    """How long the first bytes of a connection are waited for where nothing says its protocol; 0s waits
    for ever. Envoy: `listener_filters_timeout`."""
    ingress_class: str = ""
    """The class of Ingresses that are the mesh's without any IngressClass; `istio` without. Envoy: the routes of
    ingress gateways."""
    ingress_service: str = ""
    """The Service in the root namespace whose address Ingresses are told in their status; `istio-ingressgateway`
    without."""
    ingress_controller_mode: Literal["UNSPECIFIED", "OFF", "DEFAULT", "STRICT"] = "UNSPECIFIED"
    """OFF: no Ingresses are read; STRICT and UNSPECIFIED: those of the mesh's class; DEFAULT: those without any class,
    too. Envoy: the routes of ingress gateways."""
    ingress_selector: str = ""
    """The value of the label `istio` of the gateways at which Ingresses hold; `ingressgateway` without. Envoy: the
    listeners 80 and 443 of those."""
    enable_tracing: bool | None = None
    """Whether the collector of `defaultConfig.tracing` gets spans; true without. Providers of Telemetries
    get theirs anyway. Envoy: `tracing`."""
    access_log_file: str | None = None
    """Where each call is written down; empty: nowhere. Envoy: `access_log`, a file."""
    access_log_format: str = ""
    """The form of a line, or with JSON of an object; Istio's without. Envoy: `log_format`."""
    access_log_encoding: Literal["TEXT", "JSON"] = "TEXT"
    """Lines of TEXT, or JSON objects. Envoy: `text_format_source` or `json_format`."""
    enable_envoy_access_log_service: bool = False
    """Whether calls are also told to `defaultConfig.envoyAccessLogService`. Envoy: `access_log`, gRPC."""
    disable_envoy_listener_log: bool = False
    """Whether connections that no filter chain takes are not logged. Envoy: the listener's own
    `access_log`."""
    default_config: ProxyConfig | None = None
    """How each proxy is run, where nothing nearer says it."""
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    """What becomes of calls to destinations that nobody knows."""
    inbound_traffic_policy: InboundTrafficPolicy | None = None
    """At which address applications are called."""
    config_sources: tuple[ConfigSource, ...] = ()
    """No effect: configuration is read from the API server of the configuration cluster."""
    enable_auto_mtls: bool | None = None
    """Whether calls to endpoints that have a sidecar are by mutual TLS where no DestinationRule says it;
    true without. Envoy: `transport_socket_matches`."""
    trust_domain: str | None = None
    """The first part of all identities of the mesh. Envoy: what certificates of callers and endpoints
    must say."""
    trust_domain_aliases: Names = ()
    """Trust domains of callers that are let in as those of one's own. Envoy:
    `match_typed_subject_alt_names` of inbound TLS."""
    ca_certificates: tuple[CertificateData, ...] = ()
    """Further roots. Envoy: `trust_domains` of the SPIFFE validator, in the secret `ROOTCA` of agents."""
    default_service_export_to: Names = ()
    """To which namespaces services are shown that do not say it."""
    default_virtual_service_export_to: Names = ()
    """To which namespaces VirtualServices are shown that do not say it."""
    default_destination_rule_export_to: Names = ()
    """To which namespaces DestinationRules are shown that do not say it."""
    root_namespace: str | None = None
    """Where configuration for the whole mesh stands; istio-system without."""
    locality_lb_setting: LocalityLbSetting | None = None
    """How localities share and take over where no DestinationRule says it. Envoy: priorities and weights
    of endpoints."""
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    """How zones share by themselves where no DestinationRule or Service says it; it counts before
    `localityLbSetting`. Envoy: `zone_aware_lb_config`."""
    dns_refresh_rate: AtLeast1Ms = ""
    """How often names are asked for that Envoy resolves; 5s without, and no sooner than an answer's own
    life says. Envoy: `dns_refresh_rate`."""
    h2_upgrade_policy: Literal["DO_NOT_UPGRADE", "UPGRADE"] = msgspec.field(
        default="DO_NOT_UPGRADE", name="h2UpgradePolicy"
    )
    """Whether HTTP/1.1 goes as HTTP/2 between proxies where no DestinationRule says it. Envoy:
    `http2_protocol_options`."""
    inbound_cluster_stat_name: str = ""
    """The pattern of the names of statistics of what proxies let in: %SERVICE%, %SERVICE_FQDN%,
    %SERVICE_PORT%, %SERVICE_PORT_NAME%, %TARGET_PORT%. Envoy: `alt_stat_name`."""
    outbound_cluster_stat_name: str = ""
    """The pattern of those of services: %SERVICE%, %SERVICE_FQDN%, %SERVICE_PORT%, %SERVICE_PORT_NAME%,
    %SUBSET_NAME%. Envoy: `alt_stat_name`."""
    certificates: tuple[Certificate, ...] = ()
    """No effect: it is deprecated, and nobody makes certificates for DNS names here."""
    service_settings: tuple[ServiceSettings, ...] = ()
    """What holds for some services."""
    enable_prometheus_merge: bool | None = None
    """Whether the agent shows an application's metrics beside Envoy's; true without, and pods may say
    `prometheus.istio.io/merge-metrics`."""
    verify_certificate_at_client: bool | None = None
    """No effect: it is deprecated; DestinationRules say whom they believe."""
    ca: Ca | None = None
    """No effect: Citadel signs for workloads."""
    extension_providers: tuple[ExtensionProvider, ...] = ()
    """Who gets logs and spans, and others that stand outside of proxies, by name."""
    default_providers: DefaultProviders | None = None
    """The providers where no Telemetry names one."""
    discovery_selectors: tuple[LabelSelector, ...] = ()
    """The namespaces that the mesh looks at, each cluster's own by their labels; one that any of these
    selects; all without. The root namespace always is one. What is in others is as if it were not
    there, but Secrets that Gateways name."""
    path_normalization: PathNormalization | None = None
    """What becomes of a path before it is looked at."""
    default_http_retry_policy: HTTPRetry | None = None
    """Retries where no VirtualService says anything of them. Envoy: `retry_policy` of routes."""
    default_inbound_http_retry_policy: HTTPRetry | None = None
    """Retries of a proxy towards the application beside it. Envoy: `retry_policy` of inbound routes."""
    default_traffic_policy: DefaultTrafficPolicy | None = None
    """What holds for calls of which no DestinationRule says it."""
    mesh_mtls: TlsConfig | None = msgspec.field(default=None, name="meshMTLS")
    """How strong mutual TLS between workloads must be, also where it ends at a gateway. Envoy: `tls_params` of inbound
    TLS, and of a Gateway's servers with ISTIO_MUTUAL that do not say it themselves."""
    tls_defaults: TlsConfig | None = None
    """How strong TLS must be that is not the mesh's own. Envoy: `tls_params` of upstreams with SIMPLE or MUTUAL, and of
    a Gateway's servers, and a Sidecar's, that do not say it themselves."""
    service_scope_configs: tuple[ServiceScopeConfig, ...] = ()
    """No effect: it is about an ambient mesh."""
    service_entry_visibility: dict[str, object] | None = None
    """No effect: the exportTo of ServiceEntries says who sees them."""


def read_mesh_config(text: str) -> Shaped[MeshConfig]:
    """The mesh configuration in `text`, YAML, as far as its shape is right: `mesh_config_problems` knows the rest.

    Raises `InvalidConfig` where it is no YAML; paths are those within the text.
    """
    found = [document.value for document in documents(text)]
    if not found:
        return Shaped(MeshConfig())
    if not isinstance(found[0], Mapping):
        raise InvalidConfig("$", "is no mapping (hint: fields of MeshConfig, a line each: trustDomain: …)")
    return shaped(found[0], MeshConfig, as_protobuf=True)
