"""What Pilots say of proxies, as `isthmus proxy status` shows it, and where an Envoy differs from that."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from isthmus.console.control_plane import ask_envoy
from isthmus.console.envoy_parts import DUMP, ENDPOINTS, rows_of, versions
from isthmus.console.render import table
from isthmus.kit import date
from isthmus.kube.kubeconfig import Access

TYPES = ("CDS", "LDS", "EDS", "RDS", "ECDS")
_FURTHER = ("SDS", "NDS")
_PARTS = ("clusters", "listeners", "routes", "endpoints", "ecds")


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


async def read_part(part: str, access: Access, namespace: str, pod: str) -> list[Any]:
    """The rows of one part of what the Envoy beside a pod holds; `pod` may be the beginning of its name."""
    dump, clusters = await ask_envoy(access, namespace, pod, DUMP, ENDPOINTS)
    return rows_of(part, dump, clusters, {})


class Difference(NamedTuple):
    """A resource that an Envoy does not hold as Pilot has it."""

    part: str
    name: str
    what: str


def differences(pilot: dict[str, Any], envoy: dict[str, Any]) -> list[Difference]:
    """What of Pilot's dump an Envoy does not hold, holds in another version, or holds and should not."""
    told = {(part, name): version for part, name, version in versions(pilot) if part in _PARTS}
    held = {(part, name): version for part, name, version in versions(envoy) if part in _PARTS}
    return [
        Difference(*key, _what(told.get(key), held.get(key)))
        for key in sorted(told.keys() | held.keys())
        if told.get(key) != held.get(key)
    ]


def _what(told: Hashable, held: Hashable) -> str:
    if held is None:
        return "not held"
    return "held, and no more told" if told is None else "held as it was"
