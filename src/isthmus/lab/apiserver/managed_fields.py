"""Server-side apply, and the ownership of fields that every write leaves behind."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from isthmus.lab.apiserver.causes import Cause
from isthmus.lab.apiserver.errors import apply_conflict
from isthmus.lab.apiserver.ownership import (
    Path,
    dotted,
    element,
    from_fields,
    is_absent,
    is_map,
    list_kind,
    owned_paths,
    to_fields,
    value_at,
    without,
)
from isthmus.lab.apiserver.schema import Schema

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, how (`Apply` or `Update`), in which version, on which subresource, and when."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.name, self.operation, self.subresource


Owners = dict[tuple[str, str, str], tuple[Manager, frozenset[Path]]]


def owners_of(obj: Json) -> Owners:
    """Who owns what, by the object's `managedFields`."""
    owners: Owners = {}
    for entry in obj["metadata"].get("managedFields") or []:
        manager = Manager(
            entry.get("manager", ""),
            entry.get("operation", "Update"),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
            entry.get("time", ""),
        )
        owners[manager.identity] = (manager, from_fields(entry.get("fieldsV1") or {}))
    return owners


def write_owners(obj: Json, owners: Owners) -> None:
    """Put `owners` into the object, which is changed; those who own nothing are left out."""
    entries = []
    for manager, paths in owners.values():
        if not paths:
            continue
        entry: Json = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": manager.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields(paths),
        }
        entries.append(entry | ({"subresource": manager.subresource} if manager.subresource else {}))
    obj["metadata"]["managedFields"] = entries


def note_update(before: Json | None, after: Json, manager: Manager, schema: Schema | None) -> None:
    """Give what `after` changes to `manager`, and take it from all others. Changes `after`."""
    owners = owners_of(before) if before is not None else {}
    now = owned_paths(after, schema)
    changed = frozenset(
        path
        for path in now
        if before is None or value_at(before, path, schema) != value_at(after, path, schema)
    )
    for identity, (other, paths) in list(owners.items()):
        owners[identity] = (other, (paths & now) - changed)
    mine = owners.get(manager.identity, (manager, frozenset()))[1]
    if changed:
        owners[manager.identity] = (manager, mine | changed)
    write_owners(after, owners)


def applied(live: Json | None, config: Json, manager: Manager, schema: Schema | None, *, force: bool) -> Json:
    """The object after `manager` applied `config`. Raises a 409 that names every field others hold.

    Fields that the manager applied before and now leaves out go, unless others own them too.
    """
    config = copy.deepcopy(config)
    config.get("metadata", {}).pop("managedFields", None)
    wanted = owned_paths(config, schema)
    if live is None:
        created = copy.deepcopy(config)
        write_owners(created, {manager.identity: (manager, wanted)})
        return created
    owners = owners_of(live)
    held = {identity: owner for identity, owner in owners.items() if identity != manager.identity}
    taken = _conflicts(live, config, wanted, held, schema)
    if taken and not force:
        raise _refusal(taken)
    before = owners.get(manager.identity, (manager, frozenset()))[1]
    merged: Json = _merged(copy.deepcopy(live), config, schema)
    others = {
        path for identity, (_, paths) in owners.items() if identity != manager.identity for path in paths
    }
    gone = {path for path in before - wanted if path not in others and not _is_above(path, wanted | others)}
    without(merged, gone, schema)
    for identity, (other, paths) in list(owners.items()):
        lost = {path for path, holder in taken if holder.identity == identity}
        owners[identity] = (other, paths - lost)
    owners[manager.identity] = (manager, wanted)
    write_owners(merged, owners)
    return merged


def _is_above(path: Path, paths: set[Path] | frozenset[Path]) -> bool:
    return any(len(each) > len(path) and each[: len(path)] == path for each in paths)


def _conflicts(
    live: Json, config: Json, wanted: frozenset[Path], others: Owners, schema: Schema | None
) -> list[tuple[Path, Manager]]:
    found = []
    for other, paths in others.values():
        for path in sorted(wanted & paths):
            old, new = value_at(live, path, schema), value_at(config, path, schema)
            is_item = path[-1].startswith("k:")
            if not is_item and not is_absent(old) and old != new:
                found.append((path, other))
    return found


def _refusal(taken: list[tuple[Path, Manager]]) -> Exception:
    causes = [
        Cause(
            dotted(path), "FieldManagerConflict", f'conflict with "{holder.name}" using {holder.api_version}'
        )
        for path, holder in taken
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].path}"
    else:
        groups: dict[str, list[str]] = {}
        for cause in causes:
            groups.setdefault(cause.message, []).append(cause.path)
        lines = [f"{what}:\n" + "\n".join(f"- {path}" for path in paths) for what, paths in groups.items()]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return apply_conflict(message, causes)


def _merged(live: Any, config: Any, schema: Schema | None) -> Any:
    """`config` over `live`, which is changed: maps and keyed lists go deeper, the rest is replaced."""
    if is_map(config, schema) and isinstance(live, dict):
        for name, value in config.items():
            child = schema.child(name) if schema is not None else None
            live[name] = _merged(live.get(name), value, child)
        return live
    kind = list_kind(config, schema)
    if kind == "map" and isinstance(live, list) and schema is not None:
        places = {element(item, schema): index for index, item in enumerate(live) if isinstance(item, dict)}
        for item in config:
            name = element(item, schema)
            if name in places:
                live[places[name]] = _merged(live[places[name]], item, schema.items())
            else:
                live.append(item)
        return live
    if kind == "set" and isinstance(live, list):
        return live + [item for item in config if item not in live]
    return config
