"""The values of the chart, in words and as a schema: the settings of `isthmus install`, and three of its own."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_type_hints

import msgspec

from isthmus.api.described import docstrings, hints
from isthmus.console.install.problems import patterns
from isthmus.console.install.settings import Installation

Json = dict[str, Any]
Role = Literal[
    "primary",
    "remote",
    "gateway",
    "egress-gateway",
    "eastwest",
    "networks",
    "secret-reader",
    "remote-secrets",
    "gateway-api",
]
_ANYTHING: Json = {"type": ["object", "array", "string", "number", "boolean", "null"]}
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


class Values(Installation, frozen=True, kw_only=True):
    """What the chart installs: the settings of `isthmus install`, for one role each release."""

    role: Role = "primary"
    """What is installed, as the first word after `isthmus install`."""
    definitions: bool = True
    """Whether kinds are among it (`primary`, `gateway-api`). Those that others brought, as Istio's own release, are
    left as they are; that can be seen by `helm install` and `helm upgrade` only, not by `helm template`."""
    with_namespace: bool = False
    """Whether the namespace of the control plane is among it, with its labels. Helm makes the one that it installs into
    by itself, with `--create-namespace`; then it is taken over with `--take-ownership`."""
    namespace: str = ""
    """Namespace of the control plane; empty: that of the release."""


OWN = ("role", "definitions", "withNamespace")
"""What `isthmus install` does not have as settings."""


def values() -> str:
    """values.yaml: each value with what it does, and what it is without a word."""
    lines = ["# The settings of `isthmus install`: what it prints with them, the chart installs.", ""]
    lines += _said(Values, msgspec.to_builtins(Values()), "")
    return "\n".join(lines) + "\n"


def _said(of: type[msgspec.Struct], defaults: Json, margin: str) -> Iterator[str]:
    told, kinds = docstrings(of), hints(of)
    own = get_type_hints(of)
    fields = sorted(msgspec.structs.fields(of), key=lambda each: each.encode_name not in OWN)
    for field in fields:
        words = " ".join(told.get(field.name, "").split())
        yield from (f"{margin}# {line}" for line in _wrapped(words, 110 - len(margin)))
        if isinstance(own[field.name], type) and issubclass(own[field.name], msgspec.Struct):
            yield f"{margin}{field.encode_name}:"
            yield from _said(kinds[field.name], defaults[field.encode_name], margin + "  ")
        else:
            yield f"{margin}{field.encode_name}: {json.dumps(defaults[field.encode_name])}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def schema() -> Json:
    """values.schema.json: what may be said, and nothing else, so that nothing is passed over in silence."""
    (_,), components = msgspec.json.schema_components(
        (Values,), schema_hook=lambda _: _ANYTHING, ref_template="#/$defs/{name}"
    )
    root = components["Values"]
    root["properties"]["global"] = {}  # Helm's own, for charts within charts
    for name, pattern in patterns():
        empty = name == "namespace"  # it is the release's then
        root["properties"][name]["pattern"] = pattern.replace(")$", ")?$") if empty else pattern
    return {"$schema": _DRAFT, "$defs": components, "$ref": "#/$defs/Values"}
