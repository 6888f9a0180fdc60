"""Sidecars: that they count, and find workloads."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.sidecar import Sidecar
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding
from isthmus.model.rules import age
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
    finders: dict[tuple[str, str, str], Sidecar] = {}
    told: set[tuple[str, str, str]] = set()
    for found in sorted(subject.of(Sidecar), key=age):
        wanted, namespace = selected(found), found.metadata.namespace
        if not wanted:
            continue
        here = subject.workloads_in.get(namespace)
        workloads = here.having(wanted) if here is not None else ()
        if not subject.finds(wanted, namespace):
            labels = ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
            yield finding(found, "$.spec.workloadSelector", f"no pod has {labels}", Code.NO_WORKLOADS)
        for workload in workloads:
            holder = finders.setdefault((workload.cluster, namespace, workload.name), found)
            older = holder.metadata.name
            pair = (namespace, older, found.metadata.name)
            if holder is not found and selected(holder) != wanted and pair not in told:
                told.add(pair)
                message = f"has no effect for {workload.name}: {older} selects it as well, and is older"
                yield finding(found, "$.spec.workloadSelector", message, Code.SAME_SELECTOR)
