"""When a CronJob is due: five fields of cron, their short names, or a length of time.

Source: Kubernetes' "CronJob", cron(8); where day of the month and day of the week are both said, either is enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from isthmus.kit import duration

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART = re.compile(r"(?P<first>\*|\?|\w+)(-(?P<last>\w+))?(/(?P<step>\d{1,4}))?")
_LONGEST = timedelta(days=366 * 8)  # 29 February may be eight years away
_EVERY = "@every "

Next = Callable[[float], float | None]
"""The first moment after another, both in seconds since the epoch; None where there is none."""


class InvalidSchedule(ValueError):
    """What is wrong with a schedule or a time zone."""


def next_of(schedule: str, zone: str = "") -> Next:
    """When something is due. Raises `InvalidSchedule`."""
    where = zone_of(zone)
    text = _SHORT.get(schedule.strip(), schedule.strip())
    if text.startswith(_EVERY):
        return _every(text.removeprefix(_EVERY))
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise InvalidSchedule(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    fields = _Fields(*(_numbers(part, *field) for part, field in zip(parts, _FIELDS, strict=True)))
    both = not any(parts[place].startswith(("*", "?")) for place in (2, 4))
    return lambda after: _next(fields, both, after, where)


class _Fields(NamedTuple):
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]


def zone_of(name: str) -> tzinfo:
    """The time zone of this name; without one UTC. Raises `InvalidSchedule`."""
    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidSchedule(f"unknown time zone {name}") from error


def _every(text: str) -> Next:
    try:
        step = duration.parse(text)
    except ValueError as error:
        raise InvalidSchedule(f"{text!r} is no length of time") from error
    return lambda after: after + max(1.0, step)


def _numbers(text: str, name: str, least: int, most: int, words: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise InvalidSchedule(f"{part!r} is no {name}")
        first, last, step = match["first"], match["last"], match["step"]
        if first in {"*", "?"}:
            if last is not None:
                raise InvalidSchedule(f"{part!r} is no {name}")
            begin, end = least, most
        else:
            begin = _number(first, name, words)
            end = _number(last, name, words) if last else most if step else begin
        if not least <= begin <= end <= most or step == "0":
            raise InvalidSchedule(f"{part!r} is no {name} (from {least} to {most})")
        found |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, name: str, words: dict[str, int]) -> int:
    if text.isdecimal() and len(text) < 5:
        return int(text)
    number = words.get(text.lower())
    if number is None:
        raise InvalidSchedule(f"{text!r} is no {name}")
    return number


def _next(fields: _Fields, both: bool, after: float, zone: tzinfo) -> float | None:
    # By the clock on the wall; a time that it leaves out in spring is due when it has gone on.
    at = datetime.fromtimestamp(after, zone).replace(second=0, microsecond=0, tzinfo=None)
    at, ends = at + timedelta(minutes=1), at + _LONGEST
    while at < ends:
        if at.month not in fields.months:
            at = (at.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
        elif not _is_day(fields, both, at):
            at = at.replace(hour=0, minute=0) + timedelta(days=1)
        elif at.hour not in fields.hours:
            at = at.replace(minute=0) + timedelta(hours=1)
        elif at.minute not in fields.minutes or (found := at.replace(tzinfo=zone).timestamp()) <= after:
            at += timedelta(minutes=1)
        else:
            return found
    return None


def _is_day(fields: _Fields, both: bool, at: datetime) -> bool:
    of_month, of_week = at.day in fields.days, at.isoweekday() % 7 in fields.weekdays
    return of_month or of_week if both else of_month and of_week
