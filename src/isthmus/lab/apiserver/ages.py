"""Times and how long ago they were, as kubectl's users read them."""

from __future__ import annotations

from datetime import datetime

_MINUTE_S, _HOUR_S, _DAY_S, _YEAR_S = 60, 3600, 86400, 365 * 86400
_UNITS = ((_MINUTE_S, "m"), (_HOUR_S, "h"), (_DAY_S, "d"), (_YEAR_S, "y"))
# Up to this many seconds: (unit and its length, whether the next smaller unit is shown as well).
_FORMS: tuple[tuple[float, int, bool], ...] = (
    (10 * _MINUTE_S, 0, True),
    (3 * _HOUR_S, 0, False),
    (8 * _HOUR_S, 1, True),
    (2 * _DAY_S, 1, False),
    (8 * _DAY_S, 2, True),
    (2 * _YEAR_S, 2, False),
    (8 * _YEAR_S, 3, True),
    (float("inf"), 3, False),
)


def seconds_of(stamp: object) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; `None` where there is none."""
    if not isinstance(stamp, str) or not stamp:
        return None
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return None


def age(stamp: object, now: float) -> str:
    """How long ago `stamp` was: `5s`, `3m20s`, `4h`, `2d3h`; `<unknown>` where it is no time."""
    then = seconds_of(stamp)
    return "<unknown>" if then is None else span(now - then)


def span(seconds: float) -> str:
    """A length of time in at most two units, the coarser the longer it is."""
    if seconds < -1:
        return "<invalid>"
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE_S:
        return f"{whole}s"
    _, place, both = next(form for form in _FORMS if whole < form[0])
    length, name = _UNITS[place]
    count, rest = divmod(whole, length)
    if not both:
        return f"{count}{name}"
    smaller, small_name = _UNITS[place - 1] if place else (1, "s")
    if place == 3:
        smaller, small_name = _UNITS[2]
    below = rest // smaller
    return f"{count}{name}{below}{small_name}" if below else f"{count}{name}"
