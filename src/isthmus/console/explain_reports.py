"""What the caller's proxy reports of a call, and which objects say so."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.istio.telemetry import Telemetry
from isthmus.api.resource import Ref
from isthmus.console.explain_source import Source
from isthmus.console.explanations import Origin, Report
from isthmus.model.reporting import CLIENT, is_of
from isthmus.model.telemetries import Telemetries
from isthmus.model.workload import Workload
from isthmus.translate.trace.steps import Trace


def reports(source: Source, workload: Workload, found: Trace) -> Iterator[Report]:
    """The logs and traces of the listener that takes the call; by nobody: as the mesh's settings have it."""
    step = found.listener
    if step is None:
        return
    settings = source.mesh.settings
    telemetries = Telemetries(source.mesh.of(Telemetry), settings.root_namespace)
    scopes = telemetries.holding(source.proxy(workload))
    for place in step.logs:
        yield Report(what=f"access log to {place}", by=tuple(_by(source, scopes, "access_logging")))
    if step.tracing:
        yield Report(what=f"traces of {step.tracing}", by=tuple(_by(source, scopes, "tracing")))


def _by(source: Source, scopes: tuple[Telemetry, ...], field: str) -> Iterator[Origin]:
    """The rules for callers, the widest scope first."""
    for each in scopes:
        for number, rule in enumerate(getattr(each.spec, field)):
            if is_of(rule.match, CLIENT):
                ref = Ref("Telemetry", each.metadata.namespace, each.metadata.name)
                name = {"access_logging": "accessLogging"}.get(field, field)
                entry = f"{name}[{number}]"
                yield Origin(object=str(ref), entry=entry, place=source.place(ref, f"spec.{entry}"))
