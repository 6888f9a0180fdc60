"""By which name the workload beside a proxy is known in traces and statistics."""

from __future__ import annotations

from collections.abc import Mapping

_CANONICAL = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")


def service_name(labels: Mapping[str, str], namespace: str, scheme: str = "CANONICAL_NAME_ONLY") -> str:
    """The name by a scheme of Istio's `tracingServiceName`; `istio-proxy` where no label says one."""
    if scheme == "APP_LABEL_AND_NAMESPACE":
        app = labels.get("app", "")
        return f"{app}.{namespace}" if app else f"istio-proxy.{namespace}"
    name = next((labels[each] for each in _CANONICAL if labels.get(each)), "istio-proxy")
    return f"{name}.{namespace}" if scheme == "CANONICAL_NAME_AND_NAMESPACE" else name
