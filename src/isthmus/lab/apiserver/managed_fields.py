"""Server-side apply, and the ownership of fields that every write leaves behind.

Source: Kubernetes' "Server-Side Apply" and structured-merge-diff's rules for updates and applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from isthmus.lab.apiserver.field_conflicts import KUBECTL, LAST_APPLIED, conflicts, forgiven, refusal
from isthmus.lab.apiserver.json_values import copied
from isthmus.lab.apiserver.merging import checked, merged
from isthmus.lab.apiserver.owners import Manager, Owners, owners_of, sent_owners, write_owners
from isthmus.lab.apiserver.ownership import Path, owned_paths, owned_values, without
from isthmus.lab.apiserver.schema import Schema

__all__ = ["Manager", "applied", "note_update"]

Json = dict[str, Any]
_NOTHING: frozenset[Path] = frozenset()
_BEFORE_ANY = "before-first-apply"


def note_update(before: Json, after: Json, manager: Manager, schema: Schema | None) -> None:
    """Give what `after` changes to `manager`, and take it from all others. Changes `after`.

    Starts from the `managedFields` that `after` came with, so that clients may rewrite them.
    """
    owners = sent_owners(before, after, manager)
    was, now = owned_values(before, schema), owned_values(after, schema)
    changed = frozenset(path for path, value in now.items() if _is_changed(was, path, value))
    for identity, (other, paths) in list(owners.items()):
        owners[identity] = (other, paths.intersection(now) - changed)
    if changed:
        mine = owners.get(manager.identity, (manager, _NOTHING))[1]
        owners[manager.identity] = (manager, mine | changed)
    write_owners(after, owners)


def _is_changed(was: Mapping[Path, Any], path: Path, value: object) -> bool:
    # A list's item with a key is its maker's still when others change what is in it: that is owned field by field.
    return path not in was or (not path[-1].startswith("k:") and was[path] != value)


def applied(live: Json | None, config: Json, manager: Manager, schema: Schema | None, *, force: bool) -> Json:
    """The object after `manager` applied `config`. Raises a 409 that names every field others hold.

    Fields that the manager applied before and now leaves out go, unless others own them too.
    """
    checked(config, schema)
    wanted = owned_paths(config, schema)
    if live is None:
        created: Json = merged({"metadata": {}}, config, schema)
        write_owners(created, {manager.identity: (manager, wanted)})
        return created
    owners = owners_of(live) or _unrecorded(live, manager, schema)
    before = owners.pop(manager.identity, (manager, _NOTHING))[1]
    made: Json = merged(live, config, schema)
    taken = conflicts(live, made, wanted, owners, schema)
    if taken and not (force or forgiven(live, taken, manager, schema)):
        raise refusal(taken)
    made = copied(made)
    held = _held(wanted.union(*(paths for _, paths in owners.values())))
    without(made, (path for path in before - wanted if path not in held), held, schema)
    _note_last_applied(made, config, manager)
    now = owned_paths(made, schema)
    for identity, (other, paths) in owners.items():
        lost = {path for path, holder in taken if holder == other}
        owners[identity] = (other, (paths & now) - lost)
    owners[manager.identity] = (manager, wanted)
    write_owners(made, owners)
    return made


def _unrecorded(live: Json, manager: Manager, schema: Schema | None) -> Owners:
    """The owner of an object whose owners nobody recorded."""
    unknown = Manager(_BEFORE_ANY, "Update", manager.api_version, time=manager.time)
    return {unknown.identity: (unknown, owned_paths(live, schema))}


def _held(paths: Iterable[Path]) -> set[Path]:
    """`paths`, and whatever is above one of them."""
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def _note_last_applied(made: Json, config: Json, manager: Manager) -> None:
    """Keep the record of client-side apply true for who goes back to it. Changes `made`."""
    annotations = made["metadata"].get("annotations") or {}
    if manager.name == KUBECTL and LAST_APPLIED in annotations:
        annotations[LAST_APPLIED] = msgspec.json.encode(config).decode() + "\n"
