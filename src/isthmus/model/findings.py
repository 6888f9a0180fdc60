"""A finding: wrong or doubtful configuration, as a value (ADR 0007)."""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Ref
from isthmus.model.codes import Code, Severity
from isthmus.model.names import ClusterId

__all__ = ["Code", "Finding", "Severity"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=False):
    """What is wrong, where, and how to mend it. Never raised; shown by CLI, status and debug pages."""

    ref: Ref
    code: Code
    message: str  # lower case, no full stop, ends in `(hint: …)` where there is one
    path: str = "$"
    cluster: ClusterId = ClusterId("")
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f' in cluster "{self.cluster}"' if self.cluster else ""
        return f"{self.severity.value}: {self.ref}{place}: {self.path}: {self.message}"
