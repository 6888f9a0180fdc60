"""Telemetries and what they report to."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.resource import Ref
from isthmus.model.analyze.subject import Subject
from isthmus.model.findings import Code, Finding
from isthmus.model.reporting_findings import reporting_findings


def reach_somebody(subject: Subject) -> Iterator[Finding]:
    """Each Telemetry counts, and what it reports gets where it is meant to."""
    settings = Ref("ConfigMap", subject.root, "istio")
    here = subject.objects.get(subject.mesh.settings.config_cluster, {})
    is_known = (
        subject.is_whole or settings in here
    )  # who writes no MeshConfig names providers of another file's
    for each in reporting_findings(subject.mesh):
        if is_known or each.code is not Code.TELEMETRY_PROVIDER:
            yield each
