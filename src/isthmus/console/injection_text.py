"""What becomes of pods, and who injects where, as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isthmus.console.injected_namespaces import Listed, Place
from isthmus.console.injection_check import Checked, Verdict
from isthmus.console.render import table


def checked_text(found: Sequence[Checked], *, wide: bool) -> str:
    """For each cluster what becomes of the pod, and by whom; `wide`: by each webhook."""
    return "\n\n".join(_checked(each, wide=wide) for each in found)


def _checked(found: Checked, *, wide: bool) -> str:
    if not found.verdicts:
        return f"{_said(found)}\nthere is no injector (hint: isthmus check)"
    if wide:
        asked = [
            (each.webhook, one.webhook, _yes(one.asked), "; ".join(one.why))
            for each in found.verdicts
            for one in each.hooks
        ]
        return f"{_said(found)}\n\n{table(('INJECTOR', 'WEBHOOK', 'ASKED', 'WHY'), asked)}"
    rows = [
        (each.webhook, each.revision, each.tag or "-", _yes(each.injects), each.why)
        for each in found.verdicts
    ]
    return f"{_said(found)}\n\n{table(('INJECTOR', 'REVISION', 'TAG', 'INJECTS', 'WHY'), rows)}"


def _yes(said: bool | None) -> str:
    return "unknown" if said is None else "yes" if said else "no"


def _said(found: Checked) -> str:
    """The sentence that counts."""
    where = f' in context "{found.context}"' if found.context else ""
    about = f"{found.object}{where}"
    injecting = found.injecting
    if not injecting:
        open_ = any(each.injects is None for each in found.verdicts)
        would = "cannot be told from here (-o wide says why)" if open_ else "would have no sidecar"
    else:
        would = f"would have a sidecar of {_of(injecting[-1])}"
    if len(injecting) > 1:
        also = ", ".join(each.webhook for each in injecting[:-1])
        would += f"; {also} injects too, and the last one's stays (hint: isthmus revision list)"
    now = f"; this one has one of revision {found.now}" if found.now else ""
    return f"{about}: a pod that is made now {would}{now}"


def _of(verdict: Verdict) -> str:
    return f"revision {verdict.revision}{f', by tag {verdict.tag}' if verdict.tag else ''}"


def listed_text(found: Sequence[Listed], *, wide: bool) -> str:
    """The injectors of all clusters, then the namespaces."""
    several = len(found) > 1
    heads = ("CONTEXT",) if several else ()
    injectors = [
        (*((each.context,) if several else ()), *_injector(each, one))
        for each in found
        for one in each.injectors
    ]
    places = [
        (*((each.context,) if several else ()), *_place(one, wide=wide))
        for each in found
        for one in each.namespaces
    ]
    parts = [table((*heads, "INJECTOR", "REVISION", "TAG", "CALLS", "NAMESPACES"), injectors)]
    if places:
        head = ("NAMESPACE", "ASKS BY", "REVISION", "PODS", "WITHOUT", "OLDER")
        parts.append(table((*heads, *head), places))
    return "\n\n".join(parts) if injectors else "there is no injector (hint: isthmus check)"


def _injector(cluster: Listed, found: dict[str, Any]) -> tuple[object, ...]:
    asks = "none: another is the default" if found["silent"] else _count(cluster, found["revision"])
    return (found["name"], found["revision"], found["tag"] or "-", found["calls"], asks)


def _count(cluster: Listed, revision: str) -> int:
    return sum(each.revision == revision for each in cluster.namespaces)


def _place(place: Place, *, wide: bool) -> tuple[object, ...]:
    return (
        place.namespace,
        place.asks_by or "-",
        place.revision or "-",
        place.pods,
        _some(place.without, wide=wide),
        _some(place.older, wide=wide),
    )


def _some(names: tuple[str, ...], *, wide: bool) -> object:
    return ", ".join(names) or "-" if wide else len(names)
