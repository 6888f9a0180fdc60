"""What comes in the bodies and queries of requests: objects, patches, how to write and how to delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from isthmus.lab.apiserver.causes import unsupported
from isthmus.lab.apiserver.errors import (
    ApiError,
    bad_request,
    invalid_options,
    too_large,
    unlike,
    unsupported_media_type,
)
from isthmus.lab.apiserver.patches import KINDS, read_body
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.requests import Deletion, Write
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]
Decode = Callable[[bytes], Json]
"""Reads a body in Kubernetes' protobuf form; raises `ApiError` for what it does not know."""

LIMIT_BYTES = 8 << 20
"""As long as the body of a request may be."""

_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_VALIDATIONS = frozenset({"", "Ignore", "Warn", "Strict"})
_PROPAGATIONS = ("Foreground", "Background", "Orphan")
_OPTIONS = {
    "POST": "CreateOptions",
    "PUT": "UpdateOptions",
    "PATCH": "PatchOptions",
    "DELETE": "DeleteOptions",
}


class Bodies:
    """Reads requests."""

    def __init__(self, decode_protobuf: Decode) -> None:
        self._decode_protobuf = decode_protobuf

    async def object(self, request: web.Request, place: Place) -> Json:
        """The object in the body, of the type and in the namespace of `place`. Raises a 400, 413 or 415."""
        obj = await self._read(request)
        if not isinstance(obj, dict):
            raise bad_request("the request's body is no object")
        return placed(obj, place)

    async def patch(self, request: web.Request) -> Any:
        """The patch in the body."""
        if request.content_type not in KINDS:
            raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type")
        return read_body(await _body(request), request.content_type)

    async def options(self, request: web.Request) -> Json:
        """The DeleteOptions in the body, if there are any."""
        if not await _body(request):
            return {}
        options = await self._read(request)
        return options if isinstance(options, dict) else {}

    async def _read(self, request: web.Request) -> Any:
        kind = request.content_type if "Content-Type" in request.headers else _JSON
        body = await _body(request)
        if kind == _PROTOBUF:
            return self._decode_protobuf(body)
        if kind not in {_JSON, _YAML}:
            raise unsupported_media_type((_JSON, _YAML, _PROTOBUF))
        return read_body(body, kind)


async def _body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large(LIMIT_BYTES) from error


def placed(obj: Json, place: Place) -> Json:
    """`obj`, which is changed, if it is of the type, name and namespace that the URL says; or a 400."""
    each = place.each
    kind, version = obj.setdefault("kind", each.kind), obj.setdefault("apiVersion", each.api_version)
    if (kind, version) != (each.kind, each.api_version):
        known = f'no kind "{kind}" is registered for version "{version}"'
        raise unlike(each, str(version).rpartition("/")[2], kind, known)
    meta = obj.get("metadata")
    meta = obj["metadata"] = meta if isinstance(meta, dict) else {}
    if place.name and meta.setdefault("name", place.name) != place.name:
        words = f"the name of the object ({meta['name']}) does not match the name on the URL ({place.name})"
        raise bad_request(words)
    if not each.namespaced:
        meta.pop("namespace", None)
    elif (meta.get("namespace") or place.namespace) != place.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    else:
        meta["namespace"] = place.namespace
    return obj


def write_of(
    request: web.Request, user: User, warn: Callable[[str], None], *, dry_run: bool = False
) -> Write:
    """Who writes and how, by the request's query."""
    query, options = request.query, _OPTIONS[request.method]
    validation = query.get("fieldValidation", "")
    if validation not in _VALIDATIONS:
        raise invalid_options(options, unsupported("fieldValidation", validation, sorted(_VALIDATIONS)))
    asked = query.getall("dryRun", [])
    if set(asked) - {"All"}:
        raise invalid_options(options, unsupported("dryRun", asked, ["All"]))
    usual = Write(user=user)
    return Write(
        user=user,
        manager=query.get("fieldManager") or request.headers.get("User-Agent", "").partition("/")[0],
        force=query.get("force") == "true",
        dry_run=dry_run or bool(asked),
        strict=validation == "Strict",
        warn=usual.warn if validation == "Ignore" else warn,
    )


def deletion_of(options: Json, query: Mapping[str, str]) -> Deletion:
    """How an object is to go, by DeleteOptions and the request's query. Raises a 400."""
    grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    conditions = options.get("preconditions") or {}
    propagation = options.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if options.get("orphanDependents"):
        propagation = "Orphan"
    if propagation not in _PROPAGATIONS:
        why = unsupported("propagationPolicy", propagation, (*_PROPAGATIONS, "nil"))
        raise invalid_options("DeleteOptions", why)
    try:
        grace_s = int(grace) if grace is not None else None
    except (TypeError, ValueError) as error:
        raise bad_request(f"invalid gracePeriodSeconds {grace!r}") from error
    uid, version = conditions.get("uid", ""), conditions.get("resourceVersion", "")
    return Deletion(grace_s, propagation, uid, version)
