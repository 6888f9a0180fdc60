"""Which workload a pod belongs to: what made it, as far as its metadata tell.

Between a Deployment and its pod is a ReplicaSet, between a CronJob and its pod a Job; both have names that are made.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from isthmus.sidecar.inject.pod import Json

_SCHEDULED = re.compile(r"(.+)-\d{8,}")
"""Of Jobs that CronJobs make: the time for which they were due, in minutes."""
_HASHES = {
    "pod-template-hash": ("Deployment", "apps/v1"),
    "rollouts-pod-template-hash": ("Rollout", "argoproj.io/v1alpha1"),
}
_DEPLOYMENT_CONFIG = "deploymentconfig"


class Owner(NamedTuple):
    """The workload's kind, API version and name."""

    kind: str
    api: str
    name: str


def owner_of(metadata: Json) -> Owner:
    """The workload of a pod with these metadata; the pod itself where nothing made it."""
    made_by = next((each for each in _references(metadata) if each.get("controller")), None)
    labels = metadata.get("labels") or {}
    if made_by is None:
        name = metadata.get("name") or str(metadata.get("generateName") or "").rstrip("-")
        return Owner("Pod", "v1", str(name))
    kind, api, name = (str(made_by.get(key) or "") for key in ("kind", "apiVersion", "name"))
    match kind:
        case "ReplicaSet":
            for label, (owner, version) in _HASHES.items():
                if labels.get(label) and name.endswith(f"-{labels[label]}"):
                    return Owner(owner, version, name.removesuffix(f"-{labels[label]}"))
        case "ReplicationController" if labels.get(_DEPLOYMENT_CONFIG):
            return Owner("DeploymentConfig", "apps.openshift.io/v1", str(labels[_DEPLOYMENT_CONFIG]))
        case "Job" if due := _SCHEDULED.fullmatch(name):
            return Owner("CronJob", "batch/v1", due[1])
        case _:
            pass
    return Owner(kind, api, name)


def _references(metadata: Json) -> list[Json]:
    found = metadata.get("ownerReferences")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
