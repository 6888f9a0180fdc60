"""The audit log: a line for every certificate that is issued, in the log and, where wished, in a file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from isthmus.ca.attest import Caller
from isthmus.ca.authority import Issued
from isthmus.kit import date
from isthmus.kit.clock import Clock
from isthmus.kit.duration import show
from isthmus.kit.scopes import ca as log

_EVENT = "certificate issued"


class Audit:
    """Writes down who got what; `path` is a file of JSON lines that only we may read, added to and never cut.

    A file that cannot be written costs no workload its certificate: the log has the line in any case.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._failing = False

    async def issued(self, caller: Caller, address: str, issued: Issued) -> None:
        """`caller` at `address` gets what was `issued`."""
        now = self._clock.now()
        line = {
            "identity": str(caller.identity),
            "cluster": caller.cluster,
            "proof": caller.proof,
            "pod": caller.pod,
            "address": address,
            "serial": issued.serial,
            "sha256": issued.sha256,
            "until": date.show(issued.end),
        }
        log.info(_EVENT, **line, life=show(round(issued.end - now)))
        if self._path is not None:
            await self._append({"time": date.show(now), "event": _EVENT, **line})

    async def _append(self, line: dict[str, str]) -> None:
        assert self._path is not None
        try:
            await asyncio.to_thread(_append, self._path, msgspec.json.encode(line) + b"\n")
        except OSError as error:
            if not self._failing:
                log.error("audit file not written", path=str(self._path), reason=error.strerror or str(error))
            self._failing = True
        else:
            self._failing = False


def _append(path: Path, line: bytes) -> None:
    """Opened for each line, so that it may be moved away at any time."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(number, line)
    finally:
        os.close(number)
