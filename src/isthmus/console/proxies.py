"""What Pilots say of proxies, as `isthmus proxy status` shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from isthmus.console.render import table
from isthmus.kit import date

TYPES = ("CDS", "LDS", "EDS", "RDS", "ECDS")
_FURTHER = ("SDS", "NDS")


def render_status(proxies: Sequence[dict[str, Any]], *, wide: bool = False) -> str:
    """The table of `proxy status`, and under it what proxies said of what they rejected."""
    types = (*TYPES, *_FURTHER) if wide else TYPES
    ordered = sorted(proxies, key=lambda each: (each["cluster"], each["name"]))
    rows = [
        (
            each["name"],
            each["cluster"],
            *(_state(each, name) for name in types),
            ",".join(each.get("pilots", ())) or "-",
            each["version"] or "-",
            *(_more(each) if wide else ()),
        )
        for each in ordered
    ]
    more = ("CONNECTED", "IDENTITY") if wide else ()
    lines = [table(("NAME", "CLUSTER", *types, "PILOT", "VERSION", *more), rows)]
    for each in ordered:
        for name, held in each["types"].items():
            if held.get("error"):
                lines.append(f"{each['name']}: {name} rejected: {held['error']}")
    return "\n".join(lines)


def in_namespace(proxies: Iterable[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Those of a namespace; all where it is empty."""
    return [each for each in proxies if not namespace or each["name"].rpartition(".")[2] == namespace]


def _state(proxy: dict[str, Any], name: str) -> str:
    return str(proxy["types"].get(name, {}).get("state", "NOT SENT"))


def _more(proxy: dict[str, Any]) -> tuple[str, str]:
    return date.show(proxy["connected"]), ",".join(proxy["identity"]) or "-"
