"""The clusters of the mesh as tables: what Pilot says of them, and of what it shows there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isthmus.console.certificate_warnings import age
from isthmus.console.pilots import Told
from isthmus.console.render import table

_HEAD = ("CLUSTER", "STATE", "ROLE", "OBJECTS", "SERVER", "SOURCE")
_MORE = ("ACCESS", "AGE", "ENDS IN", "RENEWED IN", "BOUND TO")
Clusters = Sequence[Mapping[str, Any]]
"""As `/debug/clusters` has them."""


def clusters_of(told: Sequence[Told]) -> dict[str, Any]:
    """The clusters as all Pilots see them, each with the Pilot that does; what is wrong in the registry once."""
    clusters = [each | {"pilot": one.pod} for one in told for each in one.said["clusters"]]
    findings = dict.fromkeys(finding for one in told for finding in one.said["findings"])
    return {"clusters": clusters, "findings": list(findings)}


def narrow(clusters: Clusters) -> str:
    """Who they are and how it stands with them; of several Pilots, with each."""
    return _table(_HEAD, clusters, map(_row, clusters))


def wide(clusters: Clusters, now: float) -> str:
    """And by what Pilot reads them, at the time `now`, in seconds of the epoch."""
    rows = ((*_row(each), *_access(each.get("access") or {}, now)) for each in clusters)
    return _table((*_HEAD, *_MORE), clusters, rows)


def _table(head: Sequence[str], clusters: Clusters, rows: Iterable[tuple[object, ...]]) -> str:
    pilots = [each.get("pilot", "") for each in clusters]
    if len(set(pilots)) < 2:
        return table(head, rows)
    return table((*head, "PILOT"), ((*row, pilot) for row, pilot in zip(rows, pilots, strict=True)))


def _row(each: Mapping[str, Any]) -> tuple[object, ...]:
    role = "config" if each["is_config"] else "-"
    return each["id"], str(each["state"]).upper(), role, each["objects"], each["server"], each["source"]


def _access(access: Mapping[str, Any], now: float) -> tuple[str, ...]:
    issued, ends, renews = access.get("issued"), access.get("ends"), access.get("renews")
    if ends is None:
        when = ("never", "-")
    elif ends <= now:
        when = (f"ended {age(now - ends)} ago", "-")
    else:
        when = (age(ends - now), age(max(renews - now, 0)) if renews is not None else "never")
    if access.get("error"):
        when = (when[0], "failed")
    bound = str(access.get("bound_to") or "-")
    return (str(access.get("kind") or "-"), age(now - issued) if issued is not None else "-", *when, bound)
