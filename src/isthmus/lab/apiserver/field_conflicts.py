"""Fields that one applies and another holds: which they are, how they are told, which are forgiven."""

from __future__ import annotations

from typing import Any

import msgspec

from isthmus.lab.apiserver.causes import Cause
from isthmus.lab.apiserver.errors import ApiError, apply_conflict
from isthmus.lab.apiserver.owners import Manager, Owners
from isthmus.lab.apiserver.ownership import Path, dotted, is_absent, owned_paths, value_at
from isthmus.lab.apiserver.schema import Schema

Json = dict[str, Any]
Taken = list[tuple[Path, Manager]]
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"


def conflicts(
    live: Json, made: Json, wanted: frozenset[Path], others: Owners, schema: Schema | None
) -> Taken:
    """What is `wanted`, differs in `made`, and others own. To want what is there already is no conflict."""
    found = []
    for other, paths in others.values():
        for path in sorted(wanted & paths):
            old = value_at(live, path, schema)
            is_item = path[-1].startswith("k:")
            if not is_item and not is_absent(old) and old != value_at(made, path, schema):
                found.append((path, other))
    return found


def forgiven(live: Json, taken: Taken, manager: Manager, schema: Schema | None) -> bool:
    """Whether `kubectl` only takes over what it applied itself, from the client's side, before.

    Kubernetes upgrades client-side to server-side apply in this way: fields that still are as the
    annotation says may be taken from whoever the record names.
    """
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if manager.name != KUBECTL or not text:
        return False
    try:
        last = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return False
    owned = owned_paths(last, schema)
    return all(
        path in owned and value_at(last, path, schema) == value_at(live, path, schema) for path, _ in taken
    )


def refusal(taken: Taken) -> ApiError:
    """The 409 that names every field and who holds it."""
    causes = [
        Cause(dotted(path), "FieldManagerConflict", f"conflict with {holder}") for path, holder in taken
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].path}"
        return apply_conflict(message, causes)
    groups: dict[str, list[str]] = {}
    for path, holder in taken:
        groups.setdefault(f"conflicts with {holder}:", []).append(f"- {dotted(path)}")
    lines = [line for words in sorted(groups) for line in (words, *groups[words])]
    return apply_conflict(f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines), causes)
