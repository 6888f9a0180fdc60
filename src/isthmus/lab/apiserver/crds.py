"""Custom resources: what a CustomResourceDefinition makes the API server serve."""

from __future__ import annotations

import re
from typing import Any

from isthmus.kit import date
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.tables import Tables
from isthmus.lab.apiserver.types import ResourceType, Types

Json = dict[str, Any]

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")
_STAGES = {None: 2, "beta": 1, "alpha": 0}


class CustomResources:
    """Keeps types, schemas and tables true to the definitions of one cluster."""

    def __init__(self, types: Types, schemas: Schemas, tables: Tables) -> None:
        self._types = types
        self._schemas = schemas
        self._tables = tables
        self._served: dict[tuple[str, str], tuple[ResourceType, ...]] = {}
        self._scales: dict[ResourceType, Json] = {}

    def with_status(self, crd: Json, now: float) -> Json:
        """The definition with its names accepted and established, or with the reason why not.

        Its stored versions grow by the one that is stored now, and never lose one.
        """
        status = crd.get("status") or {}
        spec = crd["spec"]
        problem = self._names_taken(spec)
        storage = [each["name"] for each in spec["versions"] if each.get("storage")]
        kept = [each for each in status.get("storedVersions") or [] if each not in storage]
        conditions = status.get("conditions") or []
        accepted = ("NoConflicts", "no conflicts found") if not problem else ("NameConflict", problem)
        established = (
            ("InitialNamesAccepted", "the initial names have been accepted")
            if not problem
            else ("NotAccepted", "not all names are accepted")
        )
        found = [
            _condition(conditions, ("NamesAccepted", not problem, *accepted), now),
            _condition(conditions, ("Established", not problem, *established), now),
        ]
        new: Json = {
            "conditions": found,
            "acceptedNames": spec["names"] if not problem else {"plural": "", "kind": ""},
            "storedVersions": kept + storage,
        }
        return {**crd, "status": new}

    def serve(self, crd: Json) -> None:
        """Serve what the definition says from now on, if its names are accepted, and nothing it said before."""
        spec = crd["spec"]
        if self._names_taken(spec):
            return
        self._withdraw(spec)
        served = tuple(
            _type(spec, version) for version in _ordered(spec["versions"]) if version.get("served")
        )
        for each in served:
            version = next(v for v in spec["versions"] if v["name"] == each.version)
            self._types.add(each)
            self._schemas.add(each, (version.get("schema") or {}).get("openAPIV3Schema") or {})
            self._tables.add(each, version.get("additionalPrinterColumns") or [])
            if scale := (version.get("subresources") or {}).get("scale"):
                self._scales[each] = scale
        self._served[spec["group"], spec["names"]["plural"]] = served

    def withdraw(self, crd: Json) -> tuple[ResourceType, ...]:
        """Serve it no more, and return what was served: its objects are the caller's to remove."""
        return self._withdraw(crd["spec"])

    def scale(self, each: ResourceType) -> Json | None:
        """Where the custom resource keeps its replicas, as its definition's `subresources.scale` says."""
        return self._scales.get(each)

    def _withdraw(self, spec: Json) -> tuple[ResourceType, ...]:
        key = spec["group"], spec["names"]["plural"]
        served = self._served.pop(key, ())
        if served:
            self._types.remove(*key)
        for each in served:
            self._schemas.remove(each)
            self._tables.remove(each)
            self._scales.pop(each, None)
        return served

    def _names_taken(self, spec: Json) -> str:
        """Who has the names already; empty if they are free, or the definition's own."""
        group, names = spec["group"], spec["names"]
        own = group, names["plural"]
        for each in self._types:
            if each.group != group or (each.group, each.plural) == own:
                continue
            if each.kind == names["kind"]:
                return f'"{names["kind"]}" is already in use'
            wanted = {names["plural"], names.get("singular"), *(names.get("shortNames") or ())}
            if wanted & {each.plural, each.singular, *each.short_names}:
                return f'a name of "{names["plural"]}" is already in use by "{each.plural}"'
        taken = self._types.versions(*own)
        return f'"{names["plural"]}" is already in use' if taken and own not in self._served else ""


def converted(obj: Json, each: ResourceType) -> Json:
    """The object in another version of its type: Kubernetes' strategy `None` changes `apiVersion` only."""
    if obj.get("apiVersion") == each.api_version:
        return obj
    return {**obj, "apiVersion": each.api_version}


def version_rank(version: str) -> tuple[int, int, int, str]:
    """Sorts versions: the first is `v2`, then `v1`, `v1beta2`, `v1beta1`, `v1alpha1`, then all others."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return (1, 0, 0, version)
    major, stage, minor = found.groups()
    return (0, -_STAGES[stage], -int(major) * 1000 - int(minor or 0), "")


def _ordered(versions: list[Json]) -> list[Json]:
    return sorted(versions, key=lambda each: version_rank(each["name"]))


def _type(spec: Json, version: Json) -> ResourceType:
    names = spec["names"]
    return ResourceType(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        names.get("singular") or names["kind"].lower(),
        spec.get("scope") == "Namespaced",
        tuple(names.get("shortNames") or ()),
        tuple(names.get("categories") or ()),
        frozenset(version.get("subresources") or ()),
    )


def _condition(old: list[Json], said: tuple[str, bool, str, str], now: float) -> Json:
    """The condition `said`; it changed now, unless it was as true before."""
    kind, holds, reason, message = said
    status = "True" if holds else "False"
    before = next((each for each in old if each.get("type") == kind), {})
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since or date.show(now),
        "reason": reason,
        "message": message,
    }
