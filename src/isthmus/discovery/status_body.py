"""The status that an object should have: the one it has, with what we tell of it. No I/O.

Others write into the same status. Of lists only our entries are touched: conditions by their types, parents
and ancestors by the controller that speaks. Source: Gateway API reference, "Condition", "RouteParentStatus".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

OURS = frozenset(
    {
        "Accepted", "Conflicted", "OverlappingTLSConfig", "PartiallyInvalid", "Programmed", "ResolvedRefs",
        "Reconciled", "PassedAnalysis",
    }
)  # fmt: skip
"""Types of conditions that we tell, in some state of some kind: one that is not told any more goes."""
_BY_CONTROLLER = frozenset({"parents", "ancestors"})
_CHANGE = "lastTransitionTime"


def status_with(before: Mapping[str, Any], told: Mapping[str, Any], controller: str, now: str) -> Json:
    """`before` with what is `told`, field by field; None takes a field away.

    A condition whose `status` differs from before changed `now`. Entries of `parents` and `ancestors` are
    those of `controller`; what other controllers say stays.
    """
    after = dict(before)
    for name, value in told.items():
        if value is None:
            after.pop(name, None)
            continue
        made = _field(name, _listed(before.get(name)), value, (controller, now))
        if made or not (name in _BY_CONTROLLER and name not in before):
            after[name] = made
    return after


def _field(name: str, before: Sequence[Json], value: Any, by: tuple[str, str]) -> Any:
    if name == "conditions":
        return _conditions(before, value, by[1])
    if name in _BY_CONTROLLER:
        return _by_controller(before, value, by)
    if name == "listeners":
        known = {each.get("name"): each for each in before}
        return [_entry(known.get(each["name"], {}), each, by[1]) for each in value]
    return value


def _conditions(before: Sequence[Json], told: Iterable[Json], now: str) -> list[Json]:
    """In the order in which they stand already; new ones come last."""
    by_type = {each["type"]: each for each in told}
    kept: list[Json] = []
    for old in before:
        new = by_type.pop(old.get("type", ""), None)
        if new is not None:
            since = old.get(_CHANGE, now) if old.get("status") == new.get("status") else now
            kept.append({**new, _CHANGE: since})
        elif old.get("type") not in OURS:
            kept.append(old)
    return [*kept, *({**each, _CHANGE: now} for each in by_type.values())]


def _by_controller(before: Sequence[Json], told: Sequence[Json], by: tuple[str, str]) -> list[Json]:
    controller, now = by
    mine = [each for each in before if each.get("controllerName") == controller]
    others = [each for each in before if each.get("controllerName") != controller]
    return [*others, *(_entry(_same(mine, each), each, now) for each in told)]


def _same(found: Iterable[Json], wanted: Json) -> Json:
    """The entry that is about the same parent, empty where there is none."""
    about = [each for each in ("parentRef", "ancestorRef") if each in wanted]
    return next((each for each in found if all(each.get(key) == wanted[key] for key in about)), {})


def _entry(before: Json, told: Json, now: str) -> Json:
    return {**told, "conditions": _conditions(_listed(before.get("conditions")), told["conditions"], now)}


def _listed(value: Any) -> Sequence[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
