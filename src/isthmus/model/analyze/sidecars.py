"""Sidecars: that they count, and find workloads with sidecars."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.sidecar import Sidecar
from isthmus.model.analyze.namespaces import AMBIENT, is_ambient
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.rules import age
from isthmus.model.shards import TLS_LABEL
from isthmus.model.sidecars import selected


def have_effect(subject: Subject) -> Iterator[Finding]:
    """No Sidecar is overruled by an older one for the same workloads."""
    first: dict[object, Sidecar] = {}
    for found in sorted(subject.of(Sidecar), key=age):
        chosen = tuple(sorted(selected(found).items()))
        holder = first.setdefault((found.metadata.namespace, chosen), found)
        if holder is not found:
            code = Code.SAME_SELECTOR if chosen else Code.SEVERAL_SIDECARS
            message = f"has no effect: {holder.metadata.name} is for the same workloads, and is older"
            yield finding(found, "$.spec.workloadSelector", message, code)


def have_workloads(subject: Subject) -> Iterator[Finding]:
    """Each Sidecar with a selector finds a workload, and is the only one that finds it."""
    found = subject.of(Sidecar)
    for each in found:
        wanted, namespace = selected(each), each.metadata.namespace
        if wanted and not subject.finds(wanted, namespace):
            labels = ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
            yield finding(each, "$.spec.workloadSelector", f"no pod has {labels}", Code.NO_WORKLOADS)
    for each, holder, workload in subject.contested(found, selected):
        older = holder.metadata.name
        message = f"has no effect for {workload.name}: {older} selects it as well, and is older"
        yield finding(each, "$.spec.workloadSelector", message, Code.SAME_SELECTOR)


def are_there(subject: Subject) -> Iterator[Finding]:
    """No Sidecar is for pods of which none has a sidecar, since they are in ambient mode."""
    ambient = {name for (_, name), found in subject.namespaces.items() if is_ambient(found.metadata.labels)}
    for each in subject.of(Sidecar):
        wanted, namespace = selected(each), each.metadata.namespace
        here = subject.workloads_in.get(namespace)
        found = here.having(wanted) if here is not None else ()
        if any((TLS_LABEL, "istio") in workload.labels for workload in found) or namespace == subject.root:
            continue
        if any((AMBIENT, "ambient") in workload.labels for workload in found) or namespace in ambient:
            message = (
                "has no effect: its pods are in ambient mode, without sidecars (hint: leave it out, or "
                "istio-injection: enabled for the namespace)"
            )
            yield finding(each, "$", message, Code.FOR_NO_SIDECAR)
