"""Answers over HTTP in the form that the client asks for: objects, lists, tables; JSON or YAML."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml
from aiohttp import web

from isthmus.lab.apiserver.errors import ApiError, bad_request, not_acceptable
from isthmus.lab.apiserver.requests import Listing
from isthmus.lab.apiserver.tables import Tables, partial
from isthmus.lab.apiserver.types import ResourceType
from isthmus.lab.apiserver.watch import Event

Json = dict[str, Any]

_JSON, _YAML = "application/json", "application/yaml"
_ANY = frozenset({"*/*", "application/*"})
_META_VERSIONS = frozenset({"v1", "v1beta1"})
_SHOWN_AS = {"Table": "Table", "PartialObjectMetadata": "partial", "PartialObjectMetadataList": "partial"}
_INCLUDES = frozenset({"", "None", "Metadata", "Object"})


@dataclass(frozen=True, slots=True)
class Form:
    """How a client wants to be shown what it asks for."""

    shown_as: str = ""  # `Table`, `partial`, or empty: as it is
    meta_version: str = "v1"  # of tables and partial objects
    is_yaml: bool = False
    is_pretty: bool = False
    include: str = "Metadata"


def form_of(request: web.Request) -> Form:
    """The first form that the client accepts and that is known here. Raises a 406 if there is none."""
    include = request.query.get("includeObject", "")
    if include not in _INCLUDES:
        raise bad_request(f"unrecognized includeObject value: {include!r}")
    accepted = _accepted(request.headers.get("Accept") or "*/*")
    if accepted is None:
        raise not_acceptable((_JSON, _YAML))
    kind, shown_as, version = accepted
    is_pretty = request.query.get("pretty") in {"true", "1"}
    return Form(shown_as, version, kind == _YAML, is_pretty, include or "Metadata")


@functools.lru_cache(maxsize=256)
def _accepted(header: str) -> tuple[str, str, str] | None:
    for media_range in header.split(","):
        kind, *parameters = (part.strip() for part in media_range.split(";"))
        said = dict(each.partition("=")[::2] for each in parameters)
        kind = _JSON if kind in _ANY else kind
        if kind not in {_JSON, _YAML}:
            continue
        if "as" not in said:
            return kind, "", "v1"
        if said["as"] in _SHOWN_AS and said.get("v", "v1") in _META_VERSIONS:
            return kind, _SHOWN_AS[said["as"]], said.get("v", "v1")
    return None


class Answers:
    """Shows the objects of one API server."""

    def __init__(self, tables: Tables, now: Callable[[], float]) -> None:
        self._tables, self._now = tables, now

    def one(self, form: Form, each: ResourceType, obj: Json, code: int = 200) -> web.Response:
        """One object."""
        return answer(form, self.shown(form, each, obj), code)

    def many(self, form: Form, each: ResourceType, page: Listing) -> web.Response:
        """A list, or a page of one."""
        metadata: Json = {"resourceVersion": page.version}
        if page.more:
            metadata |= {"continue": page.more, "remainingItemCount": page.remaining}
        match form.shown_as:
            case "Table":
                return answer(form, self._table(form, each, page.items) | {"metadata": metadata})
            case "partial":
                version = f"meta.k8s.io/{form.meta_version}"
                kind, items = "PartialObjectMetadataList", [_partial(form, obj) for obj in page.items]
            case _:
                kind, version, items = each.list_kind, each.api_version, page.items
        return answer(form, {"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})

    def shown(self, form: Form, each: ResourceType, obj: Json) -> Json:
        """An object as the client wants to see it."""
        match form.shown_as:
            case "Table":
                version = obj["metadata"].get("resourceVersion", "")
                return self._table(form, each, [obj]) | {"metadata": {"resourceVersion": version}}
            case "partial":
                return _partial(form, obj)
            case _:
                return obj

    def event(self, form: Form, each: ResourceType, event: Event) -> Json:
        """What happened, in a watch."""
        obj = event.object
        if event.kind != "BOOKMARK":
            obj = self.shown(form, each, obj)
        elif form.shown_as == "Table":
            obj = self._table(form, each, []) | {"metadata": obj["metadata"]}
        elif form.shown_as == "partial":
            obj = _partial(form, obj)
        return {"type": event.kind, "object": obj}

    def _table(self, form: Form, each: ResourceType, items: Iterable[Json]) -> Json:
        table = self._tables.table(each, items, self._now(), form.include)
        return table | {"apiVersion": f"meta.k8s.io/{form.meta_version}"}


def _partial(form: Form, obj: Json) -> Json:
    return partial(obj) | {"apiVersion": f"meta.k8s.io/{form.meta_version}"}


def answer(form: Form, content: Json, code: int = 200) -> web.Response:
    """`content` in the client's language."""
    if form.is_yaml:
        text = yaml.dump(content, Dumper=yaml.CSafeDumper, default_flow_style=False)
        return web.Response(text=text, status=code, content_type=_YAML)
    body = msgspec.json.encode(content)
    if form.is_pretty:
        body = msgspec.json.format(body, indent=2) + b"\n"
    return web.Response(body=body, status=code, content_type=_JSON)


def refused(error: ApiError) -> web.Response:
    """A `Status` that says no: always JSON, which every client reads."""
    return answer(Form(), error.status(), error.code)
