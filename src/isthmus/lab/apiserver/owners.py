"""Who owns which fields: `metadata.managedFields`, read and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from isthmus.lab.apiserver.errors import bad_request
from isthmus.lab.apiserver.ownership import Path, from_fields, to_fields

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
    def identity(self) -> tuple[str, ...]:
        """What tells managers apart: appliers are the same one in all versions."""
        version = "" if self.operation == "Apply" else self.api_version
        return self.name, self.operation, self.subresource, version

    def __str__(self) -> str:
        """As conflicts name it."""
        words = f'"{self.name}"'
        if self.subresource:
            words += f' with subresource "{self.subresource}"'
        return words if self.operation == "Apply" else f"{words} using {self.api_version}"


Owners = dict[tuple[str, ...], tuple[Manager, frozenset[Path]]]


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


def sent_owners(before: Json, after: Json, manager: Manager) -> Owners:
    """The owners that an update starts from.

    Those that the client sent: one empty entry means nobody, and none at all means those of before, so
    that clients who know nothing of owners keep them. Subresources cannot rewrite them.
    """
    sent = after["metadata"].get("managedFields")
    if manager.subresource or not sent:
        return owners_of(before)
    if sent == [{}]:
        return {}
    try:
        return owners_of(after)
    except (AttributeError, TypeError, ValueError) as error:
        raise bad_request(f"metadata.managedFields cannot be read: {error}") from error


def write_owners(obj: Json, owners: Owners) -> None:
    """Put `owners` into the object, which is changed; those who own nothing are left out."""
    entries = [
        _entry(manager, to_fields(paths))
        for manager, paths in sorted(owners.values(), key=lambda each: (each[0].operation, each[0].time))
        if paths
    ]
    meta = obj["metadata"] = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if entries:
        meta["managedFields"] = entries


def _entry(manager: Manager, fields: Json) -> Json:
    entry: Json = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": manager.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "subresource": manager.subresource,
    }
    return {key: value for key, value in entry.items() if value or key == "fieldsV1"}
