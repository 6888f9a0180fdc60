"""Pods: that they have the sidecars that are asked for, and these see their traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.api.core.pod import PROXY, Pod, PodSpec
from isthmus.api.resource import Meta
from isthmus.model.analyze.deployments import owners
from isthmus.model.analyze.subject import SYSTEM_NAMESPACES, Subject, finding_in
from isthmus.model.codes import Code
from isthmus.model.findings import Finding

INJECT = "sidecar.istio.io/inject"
ENABLED, REVISION = "istio-injection", "istio.io/rev"
"""Labels of namespaces that ask for sidecars: `enabled`, or a revision."""
_OWN = frozenset({PROXY, "istio-init", "istio-validation", "isthmus-init"})
_PROXY_USER = 1337


def have_sidecars(subject: Subject) -> Iterator[Finding]:
    """Each running pod of a namespace that asks for sidecars has one, or says that it wants none."""
    for cluster, pod in subject.everywhere(Pod):
        namespace = subject.namespaces.get((cluster, pod.metadata.namespace))
        # A pod that no cluster has admitted yet may still get its sidecar.
        if namespace is None or not pod.metadata.uid or pod.status.phase != "Running":
            continue
        wanted = (
            asks_for_sidecars(namespace.metadata.labels)
            and not _refuses(pod.metadata)
            and not pod.spec.host_network
        )
        if wanted and not pod.spec.has_proxy:
            message = (
                f"has no sidecar, though namespace {namespace.metadata.name} asks for them (hint: put it in by "
                "isthmus kube-inject and make the pod anew)"
            )
            yield finding_in(cluster, pod, "$.spec.containers", message, Code.NO_SIDECAR)


def are_captured(subject: Subject) -> Iterator[Finding]:
    """No container beside a sidecar runs as the user whose traffic is the sidecar's own."""
    for cluster, owner in owners(subject):
        template = owner.spec.template
        for at in _as_proxy(template.spec) if not _refuses(template.metadata) else ():
            path = f"$.spec.template.spec{at}"
            yield finding_in(cluster, owner, path, _RESERVED, Code.RESERVED_UID)
    for cluster, pod in subject.everywhere(Pod):
        for at in _as_proxy(pod.spec) if not _refuses(pod.metadata) else ():
            yield finding_in(cluster, pod, f"$.spec{at}", _RESERVED, Code.RESERVED_UID)


_RESERVED = f"is {_PROXY_USER}, the sidecar's: what it sends is not captured (hint: another user)"


def asks_for_sidecars(labels: Mapping[str, str]) -> bool:
    """Whether a namespace with these labels asks for sidecars."""
    return labels.get(ENABLED) == "enabled" or (ENABLED not in labels and bool(labels.get(REVISION)))


def is_of_users(namespace: str, root: str) -> bool:
    """Whether a namespace is one in which applications run."""
    return namespace not in SYSTEM_NAMESPACES and namespace != root


def _refuses(meta: Meta) -> bool:
    said = meta.labels.get(INJECT) or meta.annotations.get(INJECT) or ""
    return said.lower() in {"false", "no", "n", "off"}


def _as_proxy(spec: PodSpec) -> Iterator[str]:
    whole = spec.security_context
    if whole is not None and whole.run_as_user == _PROXY_USER and not spec.has_proxy:
        yield ".securityContext.runAsUser"
    for index, container in enumerate(spec.containers):
        own = container.security_context
        if container.name not in _OWN and own is not None and own.run_as_user == _PROXY_USER:
            yield f".containers[{index}].securityContext.runAsUser"
