"""The verbs of the Kubernetes API as requests ask for them: read, list, watch, write, delete."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from isthmus.lab.apiserver.answers import Answers, answer, form_of
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.bodies import Bodies, deletion_of, placed, write_of
from isthmus.lab.apiserver.causes import forbidden
from isthmus.lab.apiserver.errors import ApiError, bad_request, details, invalid_options, method_not_allowed
from isthmus.lab.apiserver.paging import Wanted, page
from isthmus.lab.apiserver.patches import APPLY_PATCH
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.requests import Listing, Target
from isthmus.lab.apiserver.reviews import Reviews
from isthmus.lab.apiserver.streams import serve_watch
from isthmus.lab.apiserver.users import User

Json = dict[str, Any]

_BY_METHOD = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMELESS = frozenset({"create", "deletecollection", "list", "watch"})
_YES = frozenset({"true", "1"})


def verb_of(request: web.Request, place: Place) -> str:
    """The verb, as RBAC names it. Raises a 405 where the type does not have it."""
    verb = _BY_METHOD.get(request.method, "")
    if verb == "get" and (request.query.get("watch") in _YES or "/watch/" in request.path):
        verb = "watch"
    elif not place.name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    if place.subresource:
        if not verb:
            raise method_not_allowed()
        return verb
    fits = bool(place.name) != (verb in _NAMELESS) or verb == "watch"
    if not fits or verb not in place.each.verbs:
        raise method_not_allowed()
    return verb


class Verbs:
    """Answers for collections, objects and their status."""

    def __init__(self, api: Api, answers: Answers, bodies: Bodies, reviews: Reviews) -> None:
        self._api, self._answers, self._bodies, self._reviews = api, answers, bodies, reviews

    async def answer(self, verb: str, request: web.Request, place: Place, user: User) -> web.StreamResponse:
        """The answer to `verb`, which `user` may. Raises `ApiError`."""
        form = form_of(request)
        match verb:
            case "watch":
                return await serve_watch(request, self._api, self._answers, place)
            case "list":
                return self._answers.many(form, place.each, page(self._api.store, _wanted(request, place)))
            case "get":
                obj = self._api.get(place.each, place.namespace, place.name)
                return self._answers.one(form, place.each, obj)
            case "delete":
                return await self._delete(request, place, user)
            case "deletecollection":
                return await self._delete_all(request, place, user)
            case _:
                return await self._write(verb, request, place, user)

    async def _write(self, verb: str, request: web.Request, place: Place, user: User) -> web.StreamResponse:
        warnings: dict[str, None] = {}
        write = write_of(request, user, warnings.setdefault)
        each, code = place.each, 200
        target = Target(each, place.namespace, place.name, place.subresource)
        match verb:
            case "patch":
                patch, kind = await self._bodies.patch(request), request.content_type
                if kind == APPLY_PATCH:
                    code = 200 if self._api.find(each, place.namespace, place.name) is not None else 201
                    patch = _applied(patch, place)
                elif write.force:
                    why = forbidden("force", "may not be specified for non-apply patch")
                    raise invalid_options("PatchOptions", why)
                made = await self._api.patch(target, patch, kind, write)
            case "update":
                made = await self._api.update(target, await self._bodies.object(request, place), write)
            case _:
                obj, code = await self._bodies.object(request, place), 201
                if not each.stored:
                    return answer(form_of(request), self._reviews.answer(each.kind, obj, user), code)
                if obj["metadata"].get("resourceVersion"):
                    raise bad_request("resourceVersion should not be set on objects to be created")
                made = await self._api.create(each, obj, write)
        shown = self._answers.one(form_of(request), each, made, code)
        for words in warnings:
            quoted = words.replace("\\", "\\\\").replace('"', '\\"')
            shown.headers.add("Warning", f'299 - "{quoted}"')
        return shown

    async def _delete(self, request: web.Request, place: Place, user: User) -> web.Response:
        each, form = place.each, form_of(request)
        options = await self._bodies.options(request)
        write = write_of(request, user, lambda _: None, dry_run=bool(options.get("dryRun")))
        target = Target(each, place.namespace, place.name)
        gone = await self._api.delete(target, deletion_of(options, request.query), write)
        left = self._api.find(each, place.namespace, place.name)
        if left is not None and left["metadata"]["uid"] == gone["metadata"]["uid"] and not write.dry_run:
            return self._answers.one(form, each, gone)
        about = details(each, place.name, uid=gone["metadata"]["uid"])
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return answer(form, {**success, "details": about})

    async def _delete_all(self, request: web.Request, place: Place, user: User) -> web.Response:
        options = await self._bodies.options(request)
        deletion = deletion_of(options, request.query)
        write = write_of(request, user, lambda _: None, dry_run=bool(options.get("dryRun")))
        gone = []
        for obj in page(self._api.store, _wanted(request, place)).items:
            meta = obj["metadata"]
            target = Target(place.each, meta.get("namespace", ""), meta["name"])
            try:
                gone.append(await self._api.delete(target, deletion, write))
            except ApiError as error:
                if error.code != 404:  # somebody else was faster
                    raise
        listing = Listing(gone, str(self._api.store.version))
        return self._answers.many(form_of(request), place.each, listing)


def _wanted(request: web.Request, place: Place) -> Wanted:
    query = request.query
    limit = query.get("limit") or "0"
    if not limit.isdigit():
        raise bad_request(f"invalid limit {limit!r}")
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    return Wanted(place.each, place.namespace, labels, fields, int(limit), query.get("continue", ""))


def _applied(patch: Any, place: Place) -> Json:
    version, kind = (
        (patch.get("apiVersion", ""), patch.get("kind", "")) if isinstance(patch, dict) else ("", "")
    )
    if (version, kind) != (place.each.api_version, place.each.kind):
        group_and_version = version if "/" in str(version) else f"/{version}"
        raise bad_request(f"invalid object type: {group_and_version}, Kind={kind}")
    return placed(patch, place)
