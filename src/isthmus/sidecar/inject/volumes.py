"""Volumes of a sidecar, and where its container has them."""

from __future__ import annotations

from typing import Any

from isthmus.model.signing import AUDIENCE
from isthmus.sidecar.inject.annotations import BOOTSTRAP, MOUNTS, VOLUMES, read
from isthmus.sidecar.inject.pod import Json, Pod

_TOKEN_LIFE_S = 43_200
BOOTSTRAP_FILE = "/etc/istio/custom-bootstrap/custom_bootstrap.json"
"""What goes over Envoy's bootstrap; file and key of the ConfigMap are called as Istio has them."""


def volumes(pod: Pod) -> list[Json]:
    """All of them. Raises `InvalidAnnotation`."""
    override = read(pod, BOOTSTRAP, "")
    more = [{"name": _CUSTOM, "configMap": {"name": override}}] if override else []
    return [*proxy_volumes(), *more, *_user(pod, VOLUMES)]


def mounts(pod: Pod) -> list[Json]:
    """Raises `InvalidAnnotation`."""
    folder = BOOTSTRAP_FILE.rpartition("/")[0]
    more = [{"name": _CUSTOM, "mountPath": folder, "readOnly": True}] if read(pod, BOOTSTRAP, "") else []
    return [*proxy_mounts(), *more, *_user(pod, MOUNTS)]


_CUSTOM = "custom-bootstrap-volume"


def _user(pod: Pod, annotation: str) -> list[Json]:
    usual: list[dict[str, Any]] = []
    return read(pod, annotation, usual)


def proxy_mounts() -> list[Json]:
    return [
        {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"},
        {"name": "istio-podinfo", "mountPath": "/etc/istio/pod", "readOnly": True},
        {"name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": True},
        {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio", "readOnly": True},
    ]


def proxy_volumes() -> list[Json]:
    """The volumes that the agent reads: its token, the roots, the pod's labels; and one in memory to write to."""
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_LIFE_S, "path": "istio-token"}
    podinfo = [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}} for name in ("labels", "annotations")
    ]
    return [
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-podinfo", "downwardAPI": {"items": podinfo}},
        {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
    ]
