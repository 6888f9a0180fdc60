"""What the status of a configuration object says of it. Pure.

Source of the form: Istio's "Configuration Status Field" and its `AnalysisMessageBase`; a message has its text and
its path besides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.api import kind_named
from isthmus.api.resource import Object, Ref
from isthmus.discovery.status_writer import Body, StatusKey
from isthmus.model.codes import OF_SCHEMA
from isthmus.model.config_cluster import is_config
from isthmus.model.findings import Finding, Severity
from isthmus.model.names import ClusterId

_MOST = 20
_GROUPS = frozenset({"networking.istio.io", "extensions.istio.io", "telemetry.istio.io", "security.istio.io"})
"""API groups whose statuses are of Istio's form; others have conditions of their own."""


def statuses_of(
    cluster: ClusterId, objects: Mapping[Ref, Object], findings: Iterable[Finding]
) -> dict[StatusKey, Body]:
    """The status of each configuration object of the cluster from which configuration is read."""
    about: dict[Ref, list[Finding]] = defaultdict(list)
    for each in findings:
        if each.cluster in {"", cluster} and is_config(each.ref):
            about[each.ref].append(each)
    told: dict[StatusKey, Body] = {}
    for ref in objects.keys() | about.keys():
        if is_config(ref) and kind_named(ref.kind).group in _GROUPS:
            found = objects.get(ref)
            uid = found.metadata.uid if found is not None else ""
            told[StatusKey(cluster, ref, uid)] = _body(found, about.get(ref, []))
    return told


def _body(found: Object | None, findings: list[Finding]) -> Body:
    is_wrong = any(each.code in OF_SCHEMA for each in findings)
    # Of what does not decode only the last good state is known, and that is of an older generation.
    generation = 0 if found is None or is_wrong else found.metadata.generation
    conditions = [_reconciled(found, is_wrong=is_wrong), _analysed(findings)]
    if generation:
        conditions = [{**each, "observedGeneration": generation} for each in conditions]
    return {
        "conditions": conditions,
        "observedGeneration": generation or None,
        "validationMessages": [_message(each) for each in findings[:_MOST]] or None,
    }


def _reconciled(found: Object | None, *, is_wrong: bool) -> dict[str, Any]:
    if not is_wrong:
        return {"type": "Reconciled", "status": "True", "reason": "InMesh", "message": "is part of the mesh"}
    kept = (
        f"generation {found.metadata.generation} holds on"
        if found is not None
        else "nothing of it is in the mesh"
    )
    return {
        "type": "Reconciled",
        "status": "False",
        "reason": "Invalid",
        "message": f"does not decode: {kept}",
    }


def _analysed(findings: list[Finding]) -> dict[str, Any]:
    numbers = {level: sum(each.severity is level for each in findings) for level in Severity}
    if not findings:
        return {"type": "PassedAnalysis", "status": "True", "reason": "NothingFound", "message": ""}
    said = ", ".join(f"{number} {level.value}" for level, number in numbers.items() if number)
    passed = not numbers[Severity.ERROR] and not numbers[Severity.WARNING]
    return {
        "type": "PassedAnalysis",
        "status": "True" if passed else "False",
        "reason": "ErrorsFound" if numbers[Severity.ERROR] else "FindingsFound",
        "message": f"{said}: see validationMessages",
    }


def _message(finding: Finding) -> dict[str, Any]:
    code = finding.code
    found: dict[str, Any] = {
        "type": {"name": code.title, "code": code.number},
        "level": finding.severity.name,
        "path": finding.path,
        "message": finding.message,
    }
    return {**found, "documentationUrl": code.page} if code.page else found
