"""The Kubernetes API over HTTP: verbs, watches, tables, errors as `Status`."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from isthmus.kit.log import log
from isthmus.lab.apiserver import errors
from isthmus.lab.apiserver.api import Api, Deletion, Listing, Target, Write
from isthmus.lab.apiserver.authentication import Authentication
from isthmus.lab.apiserver.documents import Documents
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.impersonation import impersonated
from isthmus.lab.apiserver.patches import KINDS, read_body
from isthmus.lab.apiserver.paths import Place, place_of
from isthmus.lab.apiserver.rbac import Access, Rbac
from isthmus.lab.apiserver.reviews import Reviews
from isthmus.lab.apiserver.streams import serve_watch
from isthmus.lab.apiserver.tables import Tables, partial
from isthmus.lab.apiserver.types import Types
from isthmus.lab.apiserver.users import Unauthenticated, User

Json = dict[str, Any]
Subresource = Callable[[web.Request, Place, User], Awaitable[web.StreamResponse]]
Decode = Callable[[bytes], Json]
"""Reads a body in Kubernetes' protobuf form; raises `ApiError` for what it does not know."""

_PROTOBUF = "application/vnd.kubernetes.protobuf"
_HEALTHY = ("/healthz", "/livez", "/readyz")
_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}


class Front:
    """One API server's HTTP side."""

    def __init__(
        self,
        api: Api,
        documents: Documents,
        tables: Tables,
        guard: tuple[Authentication, Rbac, Reviews],
        extras: tuple[Mapping[tuple[str, str], Subresource], Decode],
    ) -> None:
        self._api, self._documents, self._tables = api, documents, tables
        self._authentication, self._rbac, self._reviews = guard
        self._subresources, self._decode_protobuf = extras

    def application(self) -> web.Application:
        """The application, to be run by aiohttp."""
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    @property
    def _types(self) -> Types:
        return self._api.types

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ApiError as error:
            return _json(error.status(), error.code)
        except Unauthenticated:
            return _json(errors.unauthorized().status(), 401)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            log.error("request failed", method=request.method, path=request.path, exc_info=error)
            message = f"the object or the request has a form that this server does not expect: {error!r}"
            return _json(errors.bad_request(message).status(), 400)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in _HEALTHY or request.path.startswith(("/livez/", "/readyz/")):
            return web.Response(text="ok")
        user = self._authentication.user(request.headers.get("Authorization", ""), _certificate(request))
        user = impersonated(user, request.headers, self._rbac)
        place = place_of(request.path, self._types)
        if place is None:
            return self._document(request, user)
        verb = _verb(request, place)
        access = place.access(verb)
        if self._rbac.allows(user, access) is None:
            raise errors.forbidden(place.each, place.name, access.refusal(user))
        handler = self._subresources.get((place.each.plural, place.subresource))
        if handler is None and place.subresource in place.each.subresources:
            handler = self._subresources.get(("*", place.subresource))
        if handler is not None:
            return await handler(request, place, user)
        if place.subresource and place.subresource not in {"status", "finalize"}:
            raise errors.no_such_path()
        return await self._verb(request, place, verb, user)

    def _document(self, request: web.Request, user: User) -> web.Response:
        access = Access(verb=request.method.lower(), path=request.path)
        document = self._documents.find(request.path, request.headers.get("Accept", ""))
        if document is None:
            raise errors.no_such_path()
        if self._rbac.allows(user, access) is None:
            raise ApiError(403, "Forbidden", f"forbidden: {access.refusal(user)}")
        headers = {"ETag": document.tag, "Content-Type": document.content_type}
        return web.Response(body=document.body, headers=headers)

    async def _verb(self, request: web.Request, place: Place, verb: str, user: User) -> web.StreamResponse:
        each = place.each
        if verb == "watch":
            return await serve_watch(request, self._api, self._tables, place)
        if verb == "list":
            return self._list(request, place)
        if verb == "get":
            return self._shown(request, place, self._api.get(each, place.namespace, place.name))
        if verb in {"delete", "deletecollection"}:
            return await self._delete(request, place, user)
        body = await request.read()
        write = _write(request, user)
        if verb == "create":
            obj = self._object(body, request.content_type, place)
            if not each.stored:
                return _json(self._reviews.answer(each.kind, obj, user), 201)
            return self._shown(request, place, await self._api.create(each, obj, write), 201)
        target = Target(each, place.namespace, place.name, place.subresource)
        if verb == "update":
            obj = self._object(body, request.content_type, place)
            return self._shown(request, place, await self._api.update(target, obj, write))
        if request.content_type not in KINDS:
            raise errors.unsupported_media_type(request.content_type, KINDS)
        patch = read_body(body, request.content_type)
        is_new = self._api.find(each, place.namespace, place.name) is None
        made = await self._api.patch(target, patch, request.content_type, write)
        return self._shown(request, place, made, 201 if is_new else 200)

    def _object(self, body: bytes, content_type: str, place: Place) -> Json:
        is_protobuf = content_type == _PROTOBUF
        obj = self._decode_protobuf(body) if is_protobuf else read_body(body, content_type)
        if not isinstance(obj, dict):
            raise errors.bad_request("the request's body is no object")
        kind, version = (
            obj.setdefault("kind", place.each.kind),
            obj.setdefault("apiVersion", place.each.api_version),
        )
        if (kind, version) != (place.each.kind, place.each.api_version):
            wanted = f"{place.each.api_version}, Kind={place.each.kind}"
            raise errors.bad_request(f"the API version in the data ({version}, Kind={kind}) is not {wanted}")
        meta = obj.get("metadata")
        meta = obj["metadata"] = meta if isinstance(meta, dict) else {}
        if place.each.namespaced:
            if meta.setdefault("namespace", place.namespace) != place.namespace:
                raise errors.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
        else:
            meta.pop("namespace", None)
        return obj

    def _list(self, request: web.Request, place: Place) -> web.Response:
        query = request.query
        found = self._api.list(
            place.each, place.namespace, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        page = _page(found, query.get("limit", ""), query.get("continue", ""))
        metadata: Json = {"resourceVersion": page.version}
        if page.more:
            metadata |= {"continue": page.more, "remainingItemCount": page.remaining}
        accept = request.headers.get("Accept", "")
        if "as=Table" in accept:
            include = query.get("includeObject", "Metadata")
            table = self._tables.table(place.each, page.items, self._api.clock.now(), include)
            return _json(table | {"metadata": metadata})
        items, kind, version = page.items, place.each.list_kind, place.each.api_version
        if "as=PartialObjectMetadataList" in accept:
            items, kind, version = (
                [partial(obj) for obj in items],
                "PartialObjectMetadataList",
                "meta.k8s.io/v1",
            )
        return _json({"kind": kind, "apiVersion": version, "metadata": metadata, "items": items})

    def _shown(self, request: web.Request, place: Place, obj: Json, code: int = 200) -> web.Response:
        accept = request.headers.get("Accept", "")
        if "as=Table" in accept:
            include = request.query.get("includeObject", "Metadata")
            table = self._tables.table(place.each, [obj], self._api.clock.now(), include)
            return _json(
                table | {"metadata": {"resourceVersion": obj["metadata"].get("resourceVersion", "")}}, code
            )
        if "as=PartialObjectMetadata" in accept:
            return _json(partial(obj), code)
        return _json(obj, code)

    async def _delete(self, request: web.Request, place: Place, user: User) -> web.Response:
        body = await request.read()
        options: Json = {}
        if body:
            is_protobuf = request.content_type == _PROTOBUF
            options = (
                self._decode_protobuf(body) if is_protobuf else read_body(body, request.content_type) or {}
            )
        deletion = _deletion(options, request.query)
        write = _write(request, user, dry_run=bool(options.get("dryRun")))
        if place.name:
            target = Target(place.each, place.namespace, place.name)
            gone = await self._api.delete(target, deletion, write)
            if self._api.find(place.each, place.namespace, place.name) is not None:
                return _json(gone)
            details = {"name": place.name, "group": place.each.group, "kind": place.each.plural}
            details["uid"] = gone["metadata"].get("uid", "")
            return _json(
                {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "metadata": {},
                    "status": "Success",
                    "details": details,
                }
            )
        found = self._api.list(
            place.each,
            place.namespace,
            request.query.get("labelSelector", ""),
            request.query.get("fieldSelector", ""),
        )
        for obj in found.items:
            meta = obj["metadata"]
            await self._api.delete(
                Target(place.each, meta.get("namespace", ""), meta["name"]), deletion, write
            )
        return self._list(request, place)


def _verb(request: web.Request, place: Place) -> str:
    verb = _VERBS.get(request.method)
    if verb == "get" and not place.name:
        verb = "watch" if request.query.get("watch") in {"true", "1"} else "list"
    elif verb == "get" and "/watch/" in request.path:
        verb = "watch"
    elif verb == "delete" and not place.name:
        verb = "deletecollection"
    if verb is None or (verb not in place.each.verbs and not place.subresource):
        raise errors.method_not_allowed()
    return verb


def _write(request: web.Request, user: User, *, dry_run: bool = False) -> Write:
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    return Write(
        user=user,
        manager=request.query.get("fieldManager") or agent,
        force=request.query.get("force") == "true",
        dry_run=dry_run or "All" in request.query.getall("dryRun", []),
        strict=request.query.get("fieldValidation") == "Strict",
    )


def _deletion(options: Json, query: Mapping[str, str]) -> Deletion:
    grace = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    conditions = options.get("preconditions") or {}
    propagation = options.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if options.get("orphanDependents"):
        propagation = "Orphan"
    return Deletion(
        grace_s=int(grace) if grace is not None else None,
        propagation=propagation,
        uid=conditions.get("uid", ""),
        version=conditions.get("resourceVersion", ""),
    )


def _page(found: Listing, limit: str, continued: str) -> Listing:
    """The page of a list that a client asks for: `continue` holds how many items it has seen."""
    start = int(base64.urlsafe_b64decode(continued)) if continued else 0
    count = int(limit or 0)
    end = start + count
    if not count or end >= len(found.items):
        return Listing(found.items[start:], found.version)
    more = base64.urlsafe_b64encode(str(end).encode()).decode()
    return Listing(found.items[start:end], found.version, more, len(found.items) - end)


def _certificate(request: web.Request) -> Mapping[str, Any] | None:
    transport = request.transport
    found: Mapping[str, Any] | None = transport.get_extra_info("peercert") if transport is not None else None
    return found


def _json(content: Json, code: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=code, content_type="application/json")
