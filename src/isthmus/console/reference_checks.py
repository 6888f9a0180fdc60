"""The page of checks: what `isthmus check` looks at, made from the functions that look."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from isthmus.console.check.table import GROUPS
from isthmus.console.check.verdict import Check, When

_HEAD = """\
# Checks

What `isthmus check` looks at: what is to be, and why that matters. Made by `make docs` from the functions that look; do
not edit. That each is content with clusters that are well, and finds what is not, is held by
`tests/unit/console/test_check.py`. How to use it: [Check clusters](../guides/check-clusters.md).
"""
_WHEN = {When.ALWAYS: "always", When.BEFORE: "`--before-install`", When.AFTER: "where the mesh runs"}


def page() -> str:
    """The page, a table for each group."""
    return "\n".join([_HEAD, *(part for group in GROUPS for part in _section(group, group.CHECKS))])


def _section(group: ModuleType, checks: tuple[Check, ...]) -> Iterator[str]:
    said = (group.__doc__ or "").strip().partition(": ")
    about = "".join((said[0].removeprefix("Checks of "), *said[1:])).rstrip(".")
    yield f"## {checks[0].group}\n\n{about[0].upper()}{about[1:]}.\n"
    yield "| check | is to be | because | looked at |\n|---|---|---|---|"
    for each in checks:
        yield f"| `{each.name}` | {each.title} | {each.why} | {_WHEN[each.when]} |"
    yield ""
