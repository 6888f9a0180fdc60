"""What is told of an object that other objects are made from."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from isthmus.model.findings import Finding


class Told(NamedTuple):
    """Its status, None where that is nobody's business here, and what is wrong with it or with others."""

    status: msgspec.Struct | None = None
    findings: tuple[Finding, ...] = ()
