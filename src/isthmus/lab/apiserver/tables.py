"""Lists as tables, which is what `kubectl get` asks for: headings, and one row of cells an object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from isthmus.lab.apiserver.ages import age
from isthmus.lab.apiserver.cells import FALLBACK, PRINTERS, Printer
from isthmus.lab.apiserver.jsonpath import find
from isthmus.lab.apiserver.types import ResourceType

Json = dict[str, Any]

API_VERSION = "meta.k8s.io/v1"
_NAME: Json = {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}
_AGE: Json = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
}


class Tables:
    """Makes tables of all types: by Kubernetes' own columns, or by those of a custom resource."""

    def __init__(self) -> None:
        self._custom: dict[ResourceType, list[Json]] = {}

    def add(self, each: ResourceType, columns: list[Json]) -> None:
        """Show custom resources by `additionalPrinterColumns`; by their age where there are none."""
        self._custom[each] = columns or [_AGE]

    def remove(self, each: ResourceType) -> None:
        self._custom.pop(each, None)

    def table(self, each: ResourceType, items: Iterable[Json], now: float, include: str = "Metadata") -> Json:
        """A `Table`, whose rows hold the object as `include` says: `Metadata`, `Object` or `None`.

        Its list metadata is empty: whoever knows the list's version sets it.
        """
        custom = self._custom.get(each)
        if custom is not None:
            columns = [_NAME, *(_definition(column) for column in custom)]
            rows = [_row(_custom_cells(custom, item, now), item, include) for item in items]
        else:
            printer = _printer(each)
            columns = printer.columns
            rows = [_row(printer.cells(item, now), item, include) for item in items]
        return {
            "kind": "Table",
            "apiVersion": API_VERSION,
            "metadata": {},
            "columnDefinitions": columns,
            "rows": rows,
        }


def partial(obj: Json) -> Json:
    """The object's metadata alone, as `PartialObjectMetadata`."""
    return {"kind": "PartialObjectMetadata", "apiVersion": API_VERSION, "metadata": obj["metadata"]}


def _printer(each: ResourceType) -> Printer:
    return PRINTERS.get(each.kind, FALLBACK)


def _row(cells: list[Any], item: Json, include: str) -> Json:
    match include:
        case "None":
            return {"cells": cells}
        case "Object":
            return {"cells": cells, "object": item}
        case _:
            return {"cells": cells, "object": partial(item)}


def _definition(column: Json) -> Json:
    return {
        "name": column["name"],
        "type": column["type"],
        "format": column.get("format", ""),
        "description": column.get("description", ""),
        "priority": column.get("priority", 0),
    }


def _custom_cells(columns: list[Json], item: Json, now: float) -> list[Any]:
    return [item["metadata"]["name"], *(_cell(column, item, now) for column in columns)]


def _cell(column: Json, item: Json, now: float) -> Any:
    found = find(column["jsonPath"], item)
    if not found:
        return None
    value = found[0]
    match column["type"]:
        case "date":
            return age(value, now)
        case "integer" | "number" | "boolean":
            return value if isinstance(value, int | float) else None
        case _:
            return value if isinstance(value, str) else msgspec.json.encode(value).decode()
