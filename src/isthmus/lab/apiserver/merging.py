"""One configuration merged over an object, as the schema says that lists and maps merge."""

from __future__ import annotations

from typing import Any

from isthmus.lab.apiserver.errors import bad_request
from isthmus.lab.apiserver.ownership import element, is_map, list_kind
from isthmus.lab.apiserver.schema import Schema

Json = dict[str, Any]


def merged(live: Any, config: Any, schema: Schema | None) -> Any:
    """`config` over `live`: maps and keyed lists go deeper, sets unite, the rest is replaced.

    Neither is changed, and they share what is equal with the result: its maps on the way are new.
    """
    if is_map(config, schema):
        made = dict(live) if isinstance(live, dict) else {}
        for name, value in config.items():
            child = schema.child(name) if schema is not None else None
            made[name] = merged(made.get(name), value, child)
        return made
    kind = list_kind(config, schema)
    if kind == "map" and schema is not None:
        return _items(live if isinstance(live, list) else [], config, schema)
    if kind == "set" and isinstance(live, list):
        return live + [item for item in config if item not in live]
    return config


def _items(live: list[Any], config: list[Any], schema: Schema) -> list[Any]:
    made = list(live)
    places = {element(item, schema): index for index, item in enumerate(live) if isinstance(item, dict)}
    for item in config:
        name = element(item, schema)
        if name in places:
            made[places[name]] = merged(made[places[name]], item, schema.items())
        else:
            made.append(merged({}, item, schema.items()))
    return made


def checked(config: Any, schema: Schema | None, path: str = "") -> None:
    """Raise a 400 where items of a list cannot be told apart by their keys, or come twice."""
    if isinstance(config, dict):
        for name, value in config.items():
            checked(value, schema.child(name) if schema is not None else None, f"{path}.{name}")
    elif isinstance(config, list) and schema is not None:
        kind = list_kind(config, schema)
        seen: set[str] = set()
        for index, item in enumerate(config):
            name = element(item, schema) if kind == "map" else repr(item)
            if kind == "map" and name == "k:{}":
                keys = ", ".join(schema.map_keys)
                raise bad_request(
                    f"failed to create typed patch object: {path}[{index}]: lacks its key ({keys})"
                )
            if kind != "atomic" and name in seen:
                raise bad_request(
                    f"failed to create typed patch object: {path}[{index}]: comes twice ({name})"
                )
            seen.add(name)
            checked(item, schema.items(), f"{path}[{index}]")
