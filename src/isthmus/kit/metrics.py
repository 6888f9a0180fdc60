"""Every metric of the house, declared in one place. Names that Istio has are kept."""

from __future__ import annotations

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

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

XDS_PUSHES = Counter("pilot_xds_pushes", "Answers sent to proxies.", ["type"], registry=REGISTRY)
XDS_REJECTS = Counter("pilot_total_xds_rejects", "Answers proxies rejected.", ["type"], registry=REGISTRY)
XDS_PROXIES = Gauge("pilot_xds", "Proxies connected.", registry=REGISTRY)
XDS_WITHHELD = Counter(
    "isthmus_xds_withheld", "Resources not sent since they break Envoy's rules.", ["type"], registry=REGISTRY
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
INBOUND_CHANGES = Counter("pilot_inbound_updates", "Changes from sources.", ["kind"], registry=REGISTRY)
BUILD_SECONDS = Histogram(
    "isthmus_mesh_build_seconds", "Seconds to make the next mesh.", buckets=_SECONDS, registry=REGISTRY
)
SERVICES = Gauge("pilot_services", "Services in the mesh.", registry=REGISTRY)
CLUSTERS = Gauge("istiod_managed_clusters", "Clusters by their state.", ["state"], registry=REGISTRY)
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


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return _ISTIOS.sub(rb"\1", generate_latest(REGISTRY))
