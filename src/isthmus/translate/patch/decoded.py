"""The value of a patch as Envoy's message, or what is wrong with it in words of our own."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from isthmus.envoy.descriptors import class_of_url, pool
from isthmus.envoy.types import (
    Cluster,
    EnvoyHttpFilter,
    Filter,
    FilterChain,
    Listener,
    ListenerFilter,
    Route,
    RouteConfiguration,
    TypedExtensionConfig,
    VirtualHost,
)

_MESSAGES: dict[str, type[Message]] = {
    "LISTENER": Listener,
    "FILTER_CHAIN": FilterChain,
    "NETWORK_FILTER": Filter,
    "HTTP_FILTER": EnvoyHttpFilter,
    "LISTENER_FILTER": ListenerFilter,
    "ROUTE_CONFIGURATION": RouteConfiguration,
    "VIRTUAL_HOST": VirtualHost,
    "HTTP_ROUTE": Route,
    "CLUSTER": Cluster,
    "EXTENSION_CONFIG": TypedExtensionConfig,
}
_ANY = "google.protobuf.Any"
_DEEPEST = 60
"""How deep a value may be: protobuf's own reader gives up at 100."""
_AT = re.compile(r' at "?[A-Za-z]+(?:\.(?P<path>[^" ]+?))?"?\.?(?= |$)')
_NO_FIELD = re.compile(
    r'^Message type "(?P<type>[^"]+)" has no field named "(?P<field>[^"]+)".*?fields\(except extensions\): '
    r'"\[(?P<known>.*)\]"', re.IGNORECASE
)  # fmt: skip
_NO_TYPE = re.compile(r"Can not find message descriptor by type_url: (?P<url>(?!at )\S*?)\.?(?= |$)")
_LONGEST = 300


class Undecodable(ValueError):
    """A value that is none of Envoy's: `path` from the value on, `reason` says what is wrong and the mend."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


def decoded(apply_to: str, value: dict[str, object]) -> Message:
    """The value as Envoy's message, fields named as there or in lowerCamelCase. Raises `Undecodable`."""
    if _depth(value) > _DEEPEST:
        raise Undecodable("", f"it is deeper than {_DEEPEST} levels")
    try:
        return json_format.ParseDict(_untangled(value), _MESSAGES[apply_to](), descriptor_pool=pool())
    except (json_format.ParseError, TypeError, KeyError, AttributeError) as error:
        path = next(_values_for_parts(value, _described(_MESSAGES[apply_to]), ""), None)
        if path is not None:
            raise Undecodable(path, "is a value where Envoy has a part with fields of its own") from error
        raise _explained(" ".join(str(error).split())) from error


def _described(kind: type[Message]) -> Descriptor:
    return cast(Descriptor, kind.DESCRIPTOR)


def _values_for_parts(tree: Mapping[str, object], of: Descriptor, path: str) -> Iterator[str]:
    """The paths of plain values that stand where Envoy's message `of` has a part; not of those that JSON writes so."""
    if of.full_name == _ANY:
        with suppress(KeyError):
            of = _described(class_of_url(str(tree.get("@type", ""))))
    for key, value in tree.items():
        field = of.fields_by_name.get(key) or of.fields_by_camelcase_name.get(key)
        part = field.message_type if field is not None else None
        if part is None or part.GetOptions().map_entry:
            continue
        if part.full_name.startswith("google.protobuf.") and part.full_name != _ANY:
            continue
        here = f"{path}.{key}" if path else key
        for index, each in enumerate(value if isinstance(value, list) else [value]):
            at = f"{here}[{index}]" if isinstance(value, list) else here
            if isinstance(each, dict):
                yield from _values_for_parts(each, part, at)
            elif each is not None:
                yield at


def _untangled(tree: dict[str, object]) -> dict[str, object]:
    """Typed structs as the messages that they stand for: what Envoy itself does with them."""
    if str(tree.get("@type", "")).endswith(".TypedStruct"):
        url, value = tree.get("type_url", tree.get("typeUrl")), tree.get("value", {})
        if isinstance(url, str) and isinstance(value, dict):
            tree = {**value, "@type": url}
    return {key: _untangled_value(each) for key, each in tree.items()}


def _untangled_value(value: object) -> object:
    if isinstance(value, list):
        return [_untangled_value(each) for each in value]
    return _untangled(value) if isinstance(value, dict) else value


def _explained(said: str) -> Undecodable:
    at = _AT.search(said)
    path = (at["path"] or "") if at else ""
    if unknown := _NO_FIELD.search(said):
        known = re.findall(r"\w+", unknown["known"])
        near = difflib.get_close_matches(_camel(unknown["field"]), known, 1, 0.6)
        hint = f"did you mean {near[0]}?" if near else "see Envoy's API reference of version 3"
        name = unknown["type"].rpartition(".")[2]
        return Undecodable(path, f"Envoy's {name} has no field {unknown['field']!r} (hint: {hint})")
    if unknown := _NO_TYPE.search(said):
        hint = "types of version 3 begin with envoy.extensions or envoy.config"
        name = unknown["url"].rpartition("/")[2]
        return Undecodable(
            path, f"Envoy knows no type {name} (hint: {hint})" if name else f"it names no type (hint: {hint})"
        )
    what = (said[: at.start()] + said[at.end() :] if at else said).rstrip(". ")
    what = what.rpartition(" field: ")[2]
    return Undecodable(
        path, f"{what[:1].lower()}{what[1:_LONGEST]} (hint: see Envoy's API reference of version 3)"
    )


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _depth(value: object) -> int:
    """How many maps and lists stand in each other."""
    deepest, below = 0, [value]
    while below and deepest <= _DEEPEST:
        deepest += 1
        nested: list[object] = []
        for each in below:
            if isinstance(each, dict):
                nested += each.values()
            elif isinstance(each, list | tuple):
                nested += each
        below = nested
    return deepest
