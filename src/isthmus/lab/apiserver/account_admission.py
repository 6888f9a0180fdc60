"""Pods get the service account that they run as, and its token, as Kubernetes' admission gives them."""

from __future__ import annotations

import secrets
from typing import Any

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.errors import forbidden
from isthmus.lab.apiserver.lookup import Lookup

Json = dict[str, Any]

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_LIFE_S = 3607  # Kubernetes' own odd number: tells these tokens from those asked for by hand
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def admit_pod(pod: Json, objects: Lookup) -> Json:
    """A copy of `pod` with its account, token volume and usual tolerations.

    Raises `ApiError` (403) where there is no such account.
    """
    spec = dict(pod.get("spec") or {})
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    namespace = pod["metadata"].get("namespace", "default")
    account = objects.get(builtin("serviceaccounts"), namespace, name)
    if account is None:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(builtin("pods"), pod["metadata"].get("name", ""), why)
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    if _automounts(spec, account):
        _mount_token(spec)
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec["tolerations"] = _tolerations(spec.get("tolerations") or [])
    return {**pod, "spec": spec}


def _automounts(spec: Json, account: Json) -> bool:
    own = spec.get("automountServiceAccountToken")
    return bool(own if own is not None else account.get("automountServiceAccountToken", True))


def _mount_token(spec: Json) -> None:
    """Give all containers that have nothing at the usual path a token there."""
    name = next(
        (each["name"] for each in spec.get("volumes") or () if each["name"].startswith("kube-api-access-")),
        "kube-api-access-" + "".join(secrets.choice(_LETTERS) for _ in range(5)),
    )
    mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
    used = False
    for part in ("initContainers", "containers"):
        if not spec.get(part):
            continue
        mounted = [_with_mount(each, mount) for each in spec[part]]
        used = used or mounted != spec[part]
        spec[part] = mounted
    if used and all(each["name"] != name for each in spec.get("volumes") or ()):
        spec["volumes"] = [*(spec.get("volumes") or ()), _volume(name)]


def _with_mount(container: Json, mount: Json) -> Json:
    mounts = container.get("volumeMounts") or []
    if any(each.get("mountPath") == MOUNT_PATH for each in mounts):
        return container
    return {**container, "volumeMounts": [*mounts, mount]}


def _volume(name: str) -> Json:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources: list[Json] = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_LIFE_S, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"defaultMode": 0o644, "sources": sources}}


def _tolerations(own: list[Json]) -> list[Json]:
    """The pod's own, and five minutes' patience with a node in trouble."""
    added: list[Json] = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in _TOLERATED
        if not any(
            each.get("key") in {key, None} and each.get("effect") in {"NoExecute", None} for each in own
        )
    ]
    return [*own, *added]
