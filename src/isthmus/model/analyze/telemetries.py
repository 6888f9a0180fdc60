"""Telemetries and what they report to."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.telemetry import Telemetry
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.findings import Code, Finding
from isthmus.model.reporting_findings import reporting_findings
from isthmus.model.selection import labels_of, references_of


def reach_somebody(subject: Subject) -> Iterator[Finding]:
    """Each Telemetry counts, and what it reports gets where it is meant to."""
    settings = subject.mesh.settings.written_in
    here = subject.objects.get(subject.mesh.settings.config_cluster, {})
    # Who writes no MeshConfig names providers of another file's.
    is_known = subject.is_whole or settings in here
    for each in reporting_findings(subject.mesh):
        if is_known or each.code is not Code.TELEMETRY_PROVIDER:
            yield each


def are_alone(subject: Subject) -> Iterator[Finding]:
    """No workload of a Telemetry is selected by an older one, by other labels."""
    selecting = [each for each in subject.of(Telemetry) if not references_of(each)]
    for each, holder, workload in subject.contested(selecting, labels_of):
        older = holder.metadata.name
        message = f"has no effect for {workload.name}: {older} selects it as well, and is older (hint: one for both)"
        yield finding(each, "$.spec.selector", message, Code.SAME_TELEMETRY_SELECTOR)
