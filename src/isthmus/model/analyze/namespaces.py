"""Namespaces: what they say of sidecars, in each cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from isthmus.api.core.namespace import Namespace
from isthmus.api.core.pod import Pod
from isthmus.model.analyze.pods import ENABLED, REVISION, asks_for_sidecars, is_of_users
from isthmus.model.analyze.subject import Subject, finding_in
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId
from isthmus.model.shards import has_sidecar

AMBIENT = "istio.io/dataplane-mode"
"""Label by which a namespace, or a pod, asks for Istio's other mode, which has no sidecars."""


def say_injection(subject: Subject) -> Iterator[Finding]:
    """Each namespace says once whether its pods get sidecars, and the same in all clusters."""
    lacking = _without_sidecars(subject)
    by_name: dict[str, list[tuple[ClusterId, Namespace]]] = defaultdict(list)
    for cluster, namespace in subject.everywhere(Namespace):
        meta = namespace.metadata
        if not is_of_users(meta.name, subject.root):
            continue
        by_name[meta.name].append((cluster, namespace))
        if ENABLED in meta.labels and REVISION in meta.labels:
            message = (
                f"{ENABLED} and {REVISION} stand side by side, and the first counts (hint: leave one out)"
            )
            yield finding_in(cluster, namespace, "$.metadata.labels", message, Code.INJECTION_LABELS)
        elif not meta.labels.keys() & {ENABLED, REVISION, AMBIENT} and (cluster, meta.name) in lacking:
            message = (
                f"does not say whether its pods get sidecars, and none has one (hint: kubectl label namespace "
                f"{meta.name} {ENABLED}=enabled, or =disabled)"
            )
            yield finding_in(cluster, namespace, "$.metadata.labels", message, Code.NOT_INJECTED)
        elif is_ambient(meta.labels):
            message = (
                "has no effect: this mesh is made of sidecars, which pods here do not get by it (hint: "
                f"{ENABLED}: enabled)"
            )
            yield finding_in(cluster, namespace, f"$.metadata.labels[{AMBIENT}]", message, Code.NO_EFFECT)
    for each in by_name.values():
        yield from _differing(each)


def is_ambient(labels: Mapping[str, str]) -> bool:
    """Whether a namespace with these labels asks for Istio's other mode, and not for sidecars."""
    return labels.get(AMBIENT) == "ambient" and not asks_for_sidecars(labels)


def _differing(found: list[tuple[ClusterId, Namespace]]) -> Iterator[Finding]:
    asking = [cluster for cluster, namespace in found if asks_for_sidecars(namespace.metadata.labels)]
    if not asking:
        return
    for cluster, namespace in found:
        if cluster not in asking:
            message = (
                f'does not ask for sidecars here, and does so in cluster "{asking[0]}" (hint: the same label in all '
                "clusters)"
            )
            yield finding_in(cluster, namespace, "$.metadata.labels", message, Code.INJECTION_DIFFERS)


def _without_sidecars(subject: Subject) -> set[tuple[ClusterId, str]]:
    """The namespaces with pods of which none has a sidecar."""
    seen: dict[tuple[ClusterId, str], bool] = {}
    for cluster, pod in subject.everywhere(Pod):
        where = (cluster, pod.metadata.namespace)
        seen[where] = seen.get(where, False) or has_sidecar(pod) or pod.spec.has_proxy
    return {where for where, has in seen.items() if not has}
