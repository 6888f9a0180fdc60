"""Logs of what others cause, who may be many or mean harm: of each cause a few lines, and then one each while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from isthmus.kit.bucket import Bucket
from isthmus.kit.clock import Clock
from isthmus.kit.log import Scope

_CAUSES = 1000
_ALL_PER_S = 20.0
"""Lines of all causes together in the long run: whoever causes them may have many names."""
_LONGEST = 500


class Seldom:
    """Lines of one cause are logged `at_once` in a row and then one each `pause_s`; the others are counted.

    Of all causes together there are `burst` in a row. The next line of a cause says how many of it there were in
    between, as `left_out`. Texts are cut to a length.
    """

    def __init__(
        self, clock: Clock, log: Scope, at_once: int = 5, pause_s: float = 60.0, burst: int = 500
    ) -> None:
        self._log = log
        self._clock, self._at_once, self._pause_s = clock, at_once, pause_s
        self._causes: OrderedDict[Hashable, tuple[Bucket, int]] = OrderedDict()
        self._all = Bucket(burst, _ALL_PER_S, clock.monotonic())

    def info(self, event: str, cause: Hashable, **fields: object) -> None:
        """Log `event` with `fields` if it is time for it; `cause` is by what lines belong together."""
        if (left_out := self._turn((event, cause))) is not None:
            self._log.info(event, **_clipped(fields), **left_out)

    def warning(self, event: str, cause: Hashable, **fields: object) -> None:
        """The same as a warning."""
        if (left_out := self._turn((event, cause))) is not None:
            self._log.warning(event, **_clipped(fields), **left_out)

    def _turn(self, key: Hashable) -> dict[str, int] | None:
        """What is to be said of lines that were left out; None where this is one of them."""
        now = self._clock.monotonic()
        bucket, left_out = self._causes.pop(key, (None, 0))
        bucket = bucket or Bucket(self._at_once, 1 / self._pause_s, now)
        shown = bucket.allows(now) and self._all.allows(now)
        self._causes[key] = bucket, 0 if shown else left_out + 1
        while len(self._causes) > _CAUSES:
            self._causes.popitem(last=False)
        if not shown:
            return None
        return {"left_out": left_out} if left_out else {}


def _clipped(fields: dict[str, object]) -> dict[str, object]:
    """The fields, of long texts only the beginning."""
    return {name: _clip(value) for name, value in fields.items()}


def _clip(value: object) -> object:
    return f"{value[:_LONGEST]}…" if isinstance(value, str) and len(value) > _LONGEST else value
