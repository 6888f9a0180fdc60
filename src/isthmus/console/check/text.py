"""What checks say, for people."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.console.check.verdict import Checked, State
from isthmus.console.render import table

_MARKS = {State.OK: "ok", State.UNKNOWN: "?", State.WARNING: "WARNING", State.ERROR: "ERROR"}


def as_text(found: Sequence[Checked], *, whole: bool) -> str:
    """What is wrong, each with why and how to mend it; and of the rest a line each (`whole`), or how many."""
    wrong = [each for each in found if each.state in {State.ERROR, State.WARNING}]
    parts = [_wrong(each) for each in sorted(wrong, key=lambda each: list(State).index(each.state))]
    rest = [each for each in found if each not in wrong]
    if whole and rest:
        rows = [(_MARKS[each.state], each.cluster, each.check, each.seen) for each in rest]
        parts.append(table(("", "CLUSTER", "CHECK", "SEEN"), rows))
    parts.append(summed(found))
    return "\n\n".join(parts)


def _wrong(each: Checked) -> str:
    lines = [
        f"{_MARKS[each.state]} {each.cluster}: {each.check}: {each.seen}",
        f"  is to be   {each.title}",
        f"  because    {each.why}",
    ]
    if each.mend:
        lines.append(f"  mend       {each.mend}")
    return "\n".join(lines)


def summed(found: Sequence[Checked]) -> str:
    """How many things are well, and how many are not."""
    counts = {state: sum(each.state is state for each in found) for state in State}
    said = [f"{counts[State.OK]} things are well"]
    said += [f"{counts[State.WARNING]} doubtful"] if counts[State.WARNING] else []
    said += [f"{counts[State.ERROR]} wrong"] if counts[State.ERROR] else []
    said += (
        [f"{counts[State.UNKNOWN]} could not be looked at (--all says why)"] if counts[State.UNKNOWN] else []
    )
    return ", ".join(said)
