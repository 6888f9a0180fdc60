"""Configuration as the API server is about to take it: what is wrong is refused, all of it at once.

In the order and words of `isthmus validate`. What is only doubtful is taken, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.admission.review import Answer, Asked, Json
from isthmus.kit.metrics import VALIDATION_FAILED, VALIDATION_PASSED
from isthmus.model.analyze.alone import alone
from isthmus.model.findings import Finding, Severity

_REASONS = ("object could not be decoded", "invalid resource")


def validated(asked: Asked) -> Answer:
    """Whether the object may be written."""
    labels = {name: getattr(asked.resource, name) for name in ("group", "version", "resource")}
    if asked.operation not in {"CREATE", "UPDATE"} or asked.sub_resource:
        return Answer()
    if asked.object is None:
        VALIDATION_FAILED.labels(**labels, reason=_REASONS[0]).inc()
        return Answer(allowed=False, why=f"no object comes with {asked.operation}")
    if _is_going(asked.object):
        return Answer()  # else its finalizers could not be taken away, and it could not go
    found = tuple(alone(asked.object))
    known = _known(asked)
    wrong = [each for each in found if each.severity is Severity.ERROR and each not in known]
    warnings = tuple(_short(each) for each in found if each not in wrong)
    if not wrong:
        VALIDATION_PASSED.labels(**labels).inc()
        return Answer(warnings=warnings)
    VALIDATION_FAILED.labels(**labels, reason=_REASONS[1]).inc()
    causes = tuple((each.path, each.message) for each in wrong)
    return Answer(allowed=False, why=told(wrong), causes=causes, warnings=warnings)


def told(wrong: Iterable[Finding]) -> str:
    """Everything that is wrong, a line each."""
    lines = [
        f"{each.severity.value} [{each.code.number}] {each.ref}: {each.path}: {each.message}"
        for each in wrong
    ]
    return "\n".join(lines if len(lines) == 1 else ["", *lines])


def _short(finding: Finding) -> str:
    return f"[{finding.code.number}] {finding.path}: {finding.message}"


def _is_going(obj: Json) -> bool:
    metadata = obj.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("deletionTimestamp"))


def _known(asked: Asked) -> frozenset[Finding]:
    """What was wrong before and stays: who only labels an object must not have to mend it first."""
    old, new = asked.old_object, asked.object
    if old is None or new is None or old.get("spec") != new.get("spec"):
        return frozenset()
    return frozenset(alone(old))
