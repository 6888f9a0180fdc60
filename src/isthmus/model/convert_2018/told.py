"""What is told of objects that are converted."""

from __future__ import annotations

from dataclasses import dataclass, field

from isthmus.api.resource import Object, Ref
from isthmus.model.findings import Code, Finding, Severity


@dataclass(slots=True)
class Told:
    """Collects what could not be said today (an error), and what means something else (a warning)."""

    findings: list[Finding] = field(default_factory=list)

    def lost(self, about: Object, path: str, message: str) -> None:
        """That a part of an object has no equivalent."""
        self._tell(about, path, message, Severity.ERROR)

    def changed(self, about: Object, path: str, message: str) -> None:
        """That a part of an object is said in another way, which may not be quite the same."""
        self._tell(about, path, message, Severity.WARNING)

    def _tell(self, about: Object, path: str, message: str, severity: Severity) -> None:
        meta = about.metadata
        ref = Ref(type(about).__name__, meta.namespace, meta.name)
        self.findings.append(
            Finding(ref=ref, path=path, message=message, severity=severity, code=Code.NO_EFFECT)
        )
