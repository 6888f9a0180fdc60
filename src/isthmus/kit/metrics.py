"""Every metric of the house, declared in one place. Names that Istio has are kept."""

from __future__ import annotations

import math
import re

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

REGISTRY = CollectorRegistry()

# The library ends the name of each counter with `_total`; Istio's dashboards and alerts have theirs without.
_ISTIOS = re.compile(rb"\b((?:pilot|citadel|istiod|galley)_\w+)_total\b")

_BYTES = (1, 10_000, 1_000_000, 4_000_000, 10_000_000, 40_000_000)
"""Istio's own: 4 MB is what a gRPC client takes at the most unless it is told otherwise."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

XDS_PUSHES = Counter("pilot_xds_pushes", "Answers sent to proxies.", ["type"], registry=REGISTRY)
XDS_REJECTS = Counter("pilot_total_xds_rejects", "Answers proxies rejected.", ["type"], registry=REGISTRY)
XDS_PROXIES = Gauge("pilot_xds", "Proxies connected, by their release.", ["version"], registry=REGISTRY)
BEHIND = Gauge(
    "isthmus_proxies_behind", "Proxies that have not taken up all that they were sent.", registry=REGISTRY
)
CDS_REJECTED = Gauge(
    "pilot_xds_cds_reject", "Proxies that reject upstreams now.", ["node"], registry=REGISTRY
)
EDS_REJECTED = Gauge(
    "pilot_xds_eds_reject", "Proxies that reject endpoints now.", ["node"], registry=REGISTRY
)
LDS_REJECTED = Gauge(
    "pilot_xds_lds_reject", "Proxies that reject listeners now.", ["node"], registry=REGISTRY
)
RDS_REJECTED = Gauge("pilot_xds_rds_reject", "Proxies that reject routes now.", ["node"], registry=REGISTRY)
EXPIRED_NONCES = Counter(
    "pilot_xds_expired_nonce",
    "Words of proxies about an answer that is not the newest.",
    ["type"],
    registry=REGISTRY,
)
WRITE_TIMEOUTS = Counter(
    "pilot_xds_write_timeout", "Streams ended since the proxy read too slowly.", registry=REGISTRY
)
PUSH_SECONDS = Histogram(
    "pilot_xds_push_time",
    "Seconds to make one answer and to send it.",
    ["type"],
    buckets=_SECONDS,
    registry=REGISTRY,
)
SEND_SECONDS = Histogram(
    "pilot_xds_send_time", "Seconds to send one answer.", buckets=_SECONDS, registry=REGISTRY
)
CONFIG_BYTES = Histogram(
    "pilot_xds_config_size_bytes",
    "Bytes of one answer.",
    ["type"],
    buckets=_BYTES,
    registry=REGISTRY,
)
QUEUE_SECONDS = Histogram(
    "pilot_proxy_queue_time",
    "Seconds that a proxy waits for its turn once something has changed for it.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
DEBOUNCE_SECONDS = Histogram(
    "pilot_debounce_time",
    "Seconds from the first of some changes until they are told as one.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
PUSH_TRIGGERS = Counter(
    "pilot_push_triggers",
    "Times that something new was told, by what had changed.",
    ["type"],
    registry=REGISTRY,
)
XDS_WITHHELD = Counter(
    "isthmus_xds_withheld", "Resources not sent since they break Envoy's rules.", ["type"], registry=REGISTRY
)
CONNECTIONS_CUT = Counter(
    "isthmus_connections_cut",
    "Connections of our own HTTP/2 that we ended, by why.",
    ["reason"],
    registry=REGISTRY,
)
STREAMS_CUT = Counter(
    "isthmus_streams_cut",
    "Streams of our own HTTP/2 that were ended since they took nothing of what waited.",
    ["reason"],
    registry=REGISTRY,
)
DOOR_REFUSALS = Counter(
    "isthmus_refused", "Callers turned away, by where and why.", ["door", "reason"], registry=REGISTRY
)
CONVERGENCE = Histogram(
    "pilot_proxy_convergence_time",
    "Seconds from a change to the answer being sent.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
INBOUND_CHANGES = Counter("pilot_inbound_updates", "Changes from sources.", ["type"], registry=REGISTRY)
CONFIG_EVENTS = Counter(
    "pilot_k8s_cfg_events", "Events of configuration of API servers.", ["type", "event"], registry=REGISTRY
)
REGISTRY_EVENTS = Counter(
    "pilot_k8s_reg_events",
    "Events of services, endpoints, pods and nodes of API servers.",
    ["type", "event"],
    registry=REGISTRY,
)
BUILD_SECONDS = Histogram(
    "isthmus_mesh_build_seconds", "Seconds to make the next mesh.", buckets=_SECONDS, registry=REGISTRY
)
SERVICES = Gauge("pilot_services", "Services in the mesh.", registry=REGISTRY)
RULES = Gauge("pilot_virt_services", "VirtualServices in the mesh.", registry=REGISTRY)
NO_INSTANCES = Gauge(
    "pilot_eds_no_instances", "Services of which no cluster has an endpoint.", registry=REGISTRY
)
NOT_READY = Gauge(
    "pilot_endpoint_not_ready", "Endpoints that are not to be given traffic.", registry=REGISTRY
)
NO_POD = Gauge("endpoint_no_pod", "Endpoints on a node whose pod is not known.", registry=REGISTRY)
DUPLICATE_SUBSETS = Gauge(
    "pilot_destrule_subsets",
    "Subsets of a host that DestinationRules of a namespace name once more.",
    registry=REGISTRY,
)
DUPLICATE_HOSTS = Gauge(
    "pilot_vservice_dup_domain",
    "Hosts of VirtualServices that another one holds in sidecars.",
    registry=REGISTRY,
)
INBOUND_CONFLICTS = Gauge(
    "pilot_conflict_inbound_listener",
    "Ports of pods on which Services speak different protocols.",
    registry=REGISTRY,
)
CLUSTERS = Gauge(
    "istiod_managed_clusters",
    "Clusters by their place, local or remote, and their state.",
    ["cluster_type", "state"],
    registry=REGISTRY,
)
SYNC_STATUS = Gauge(
    "istiod_remote_cluster_sync_status",
    "1 for the status that a cluster is in: synced, syncing, timeout or closed.",
    ["cluster", "cluster_type", "status"],
    registry=REGISTRY,
)
SYNC_TIMEOUTS = Counter(
    "remote_cluster_sync_timeouts",
    "Clusters that were not whole when Pilot had to serve at its start.",
    registry=REGISTRY,
)
UPTIME = Gauge("istiod_uptime_seconds", "Seconds since Pilot began.", registry=REGISTRY)
PILOT_INFO = Gauge("pilot_info", "1, with Pilot's release.", ["version"], registry=REGISTRY)
BUILD = Gauge(
    "istio_build", "1, with the component and its release.", ["component", "tag"], registry=REGISTRY
)
CLUSTER_KEPT = Gauge(
    "isthmus_cluster_kept_timestamp_seconds",
    "When a cluster was written to disk last, in seconds of the epoch.",
    ["cluster"],
    registry=REGISTRY,
)
CLUSTER_KEPT_BYTES = Gauge(
    "isthmus_cluster_kept_bytes", "Size of a cluster on disk.", ["cluster"], registry=REGISTRY
)
CLUSTER_AS_OF = Gauge(
    "isthmus_cluster_as_of_timestamp_seconds",
    "As of when a cluster is served from disk, in seconds of the epoch; 0: it is served as it is heard.",
    ["cluster"],
    registry=REGISTRY,
)
ACCESS_EXPIRY = Gauge(
    "isthmus_cluster_access_expiry_timestamp",
    "End of the token or certificate that Pilot shows at a cluster now, in seconds of the epoch.",
    ["cluster"],
    registry=REGISTRY,
)
ACCESS_RENEWALS = Counter(
    "isthmus_cluster_access_renewals",
    "Tokens for clusters that Pilot has renewed, or could not.",
    ["cluster", "outcome"],
    registry=REGISTRY,
)
FINDINGS = Gauge("isthmus_findings", "Findings in the configuration.", ["severity"], registry=REGISTRY)
CERTIFICATES = Counter(
    "citadel_server_success_cert_issuance_count", "Certificates issued.", registry=REGISTRY
)
CSRS = Counter("citadel_server_csr_count", "Signing requests.", registry=REGISTRY)
CSR_ERRORS = Counter("citadel_server_csr_errors", "Signing requests refused.", ["reason"], registry=REGISTRY)
AUTHENTICATION_FAILURES = Counter(
    "citadel_server_authentication_failure_count",
    "Callers that did not prove who they are.",
    registry=REGISTRY,
)
CSR_UNREADABLE = Counter(
    "citadel_server_csr_parsing_err_count", "Signing requests that are none, or weak.", registry=REGISTRY
)
NOT_SIGNED = Counter(
    "citadel_server_csr_sign_err_count", "Requests that the issuer did not sign.", registry=REGISTRY
)
ROOT_EXPIRY = Gauge(
    "citadel_server_root_cert_expiry_timestamp",
    "End of the root that this CA is of, in seconds of the epoch.",
    registry=REGISTRY,
)
CHAIN_EXPIRY = Gauge(
    "citadel_server_cert_chain_expiry_timestamp",
    "When this CA cannot sign any more: end of its own certificate, or of one above it.",
    registry=REGISTRY,
)
ROOT_SECONDS = Gauge(
    "citadel_server_root_cert_expiry_seconds",
    "Seconds until the root that this CA is of ends; negative once it has ended.",
    registry=REGISTRY,
)
CHAIN_SECONDS = Gauge(
    "citadel_server_cert_chain_expiry_seconds",
    "Seconds until this CA cannot sign any more; negative once it cannot.",
    registry=REGISTRY,
)
# Where no CA is, nothing of it ends: 0 would be an alarm.
ROOT_SECONDS.set(math.nan)
CHAIN_SECONDS.set(math.nan)
KEY_FETCHES = Counter(
    "isthmus_issuer_key_fetches",
    "Answers to Pilot's asking issuers for keys.",
    ["outcome"],
    registry=REGISTRY,
)
BUNDLE_FETCHES = Counter(
    "isthmus_trust_bundle_fetches",
    "Answers to Pilot's asking for bundles of other trust domains.",
    ["outcome"],
    registry=REGISTRY,
)
INJECTION_REQUESTS = Counter(
    "sidecar_injection_requests", "Pods that the injector was asked about.", registry=REGISTRY
)
INJECTION_SUCCESSES = Counter(
    "sidecar_injection_success", "Pods that were given a sidecar.", registry=REGISTRY
)
INJECTION_SKIPS = Counter("sidecar_injection_skip", "Pods that are to have no sidecar.", registry=REGISTRY)
INJECTION_FAILURES = Counter(
    "sidecar_injection_failure",
    "Pods that were refused, or about which nothing could be said.",
    registry=REGISTRY,
)
INJECTION_SECONDS = Histogram(
    "sidecar_injection_time_seconds", "Seconds to answer about a pod.", buckets=_SECONDS, registry=REGISTRY
)
_TYPE = ["group", "version", "resource"]
VALIDATION_PASSED = Counter("galley_validation_passed", "Configuration taken.", _TYPE, registry=REGISTRY)
VALIDATION_FAILED = Counter(
    "galley_validation_failed", "Configuration refused.", [*_TYPE, "reason"], registry=REGISTRY
)
VALIDATION_ERRORS = Counter(
    "galley_validation_http_error",
    "Questions about configuration without an answer.",
    ["status"],
    registry=REGISTRY,
)
BUNDLE_WRITES = Counter(
    "isthmus_webhook_bundle_writes", "Roots written into webhooks.", ["outcome"], registry=REGISTRY
)
WEBHOOK_CERTIFICATE_EXPIRY = Gauge(
    "isthmus_webhook_certificate_expiry_timestamp",
    "End of the certificate that webhooks show, in seconds of the epoch.",
    registry=REGISTRY,
)
STATUS_WRITES = Counter("isthmus_status_writes", "Statuses of objects written.", ["kind"], registry=REGISTRY)


_COUNTED = {
    "Cluster": "cds",
    "ClusterLoadAssignment": "eds",
    "Listener": "lds",
    "RouteConfiguration": "rds",
    "Secret": "sds",
    "TypedExtensionConfig": "ecds",
}


def counted(type_url: str) -> str:
    """What metrics call a type of resources: as Istio's do, `cds`; types of ours by their message's name."""
    message = type_url.rpartition(".")[2]
    return _COUNTED.get(message, message)


def told_as(name: str) -> str:
    """The name by which a counter of the library's is told."""
    return _ISTIOS.sub(rb"\1", name.encode()).decode()


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return _ISTIOS.sub(rb"\1", generate_latest(REGISTRY))
