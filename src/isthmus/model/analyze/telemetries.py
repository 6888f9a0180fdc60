"""Telemetries and what they report to."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.analyze.subject import Subject
from isthmus.model.findings import Finding
from isthmus.model.reporting_findings import reporting_findings


def reach_somebody(subject: Subject) -> Iterator[Finding]:
    """Each Telemetry counts, and what it reports gets where it is meant to."""
    return reporting_findings(subject.mesh)
