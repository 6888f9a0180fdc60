"""One thing that is wrong, in a form that every output prints."""

from __future__ import annotations

import msgspec

from isthmus.model.findings import Finding


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong or doubtful, and where."""

    severity: str  # error, warning or info
    code: str
    title: str
    object: str
    path: str
    message: str
    cluster: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file else ""
        place = f' in cluster "{self.cluster}"' if self.cluster else ""
        return f"{where}{self.severity} [{self.code}] {self.object}{place}: {self.path}: {self.message}"


def fault(finding: Finding, file: str = "", line: int = 0) -> Fault:
    """A finding in this form."""
    return Fault(
        severity=finding.severity.value,
        code=finding.code.number,
        title=finding.code.title,
        object=str(finding.ref),
        path=finding.path,
        message=finding.message,
        cluster=finding.cluster,
        file=file,
        line=line,
    )
