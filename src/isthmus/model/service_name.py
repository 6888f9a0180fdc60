"""By which name the workload beside a proxy is known in traces and statistics."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.api.istio.proxy_config import ProxyConfig

_CANONICAL = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_UNKNOWN = "istio-proxy"


def service_name(config: ProxyConfig, labels: Mapping[str, str], namespace: str) -> str:
    """The name of the service whose spans are the proxy's: `reviews.default`, or as its configuration says."""
    if config.service_cluster:
        return config.service_cluster
    match config.tracing_service_name:
        case "CANONICAL_NAME_ONLY":
            return canonical_name(labels)
        case "CANONICAL_NAME_AND_NAMESPACE":
            return f"{canonical_name(labels)}.{namespace}"
    return f"{labels.get('app') or _UNKNOWN}.{namespace}"


def canonical_name(labels: Mapping[str, str]) -> str:
    """The name that a workload's labels give it; `istio-proxy` where none does."""
    return next((labels[each] for each in _CANONICAL if labels.get(each)), _UNKNOWN)
