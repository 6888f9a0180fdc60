"""A finding: wrong or doubtful configuration, as a value."""

from __future__ import annotations

from enum import Enum

import msgspec

from isthmus.api.resource import Ref
from isthmus.model.names import ClusterId


class Severity(Enum):
    """How much a finding matters."""

    ERROR = "error"  # the object, or a part of it, has no effect
    WARNING = "warning"  # it has an effect that its author may not have meant
    INFO = "info"


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=False):
    """What is wrong, where, and how to mend it. Never raised; shown by CLI, status and debug pages."""

    ref: Ref
    message: str  # lower case, no full stop, ends in `(hint: …)` where there is one
    path: str = "$"
    cluster: ClusterId = ClusterId("")
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f' in cluster "{self.cluster}"' if self.cluster else ""
        return f"{self.severity.value}: {self.ref}{place}: {self.path}: {self.message}"
