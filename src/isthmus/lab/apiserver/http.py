"""The API server's front: who asks, whether they may, and who answers; refusals as `Status`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from isthmus.kit.log import log
from isthmus.lab.apiserver import errors
from isthmus.lab.apiserver.answers import Answers, refused
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.authentication import Authentication
from isthmus.lab.apiserver.bodies import LIMIT_BYTES, Bodies, Decode
from isthmus.lab.apiserver.documents import Documents
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.impersonation import impersonated
from isthmus.lab.apiserver.paths import Place, named_by, place_of
from isthmus.lab.apiserver.rbac import Access, Rbac
from isthmus.lab.apiserver.reviews import Reviews
from isthmus.lab.apiserver.tables import Tables
from isthmus.lab.apiserver.users import Unauthenticated, User
from isthmus.lab.apiserver.verbs import Verbs, verb_of

Subresource = Callable[[web.Request, Place, User], Awaitable[web.StreamResponse]]

_HEALTHY = ("/healthz", "/livez", "/readyz")
_PARTS_OF_OBJECTS = frozenset({"approval", "finalize", "status"})


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
        self._types, self._documents = api.types, documents
        self._authentication, self._rbac, reviews = guard
        self._subresources, decode_protobuf = extras
        self._verbs = Verbs(api, Answers(tables, api.clock.now), Bodies(decode_protobuf), reviews)

    def application(self) -> web.Application:
        """The application, to be run by aiohttp."""
        app = web.Application(client_max_size=LIMIT_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ApiError as error:
            return refused(error)
        except Unauthenticated:
            return refused(errors.unauthorized())
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            log.error("request failed", method=request.method, path=request.path, exc_info=error)
            return refused(errors.internal(repr(error)))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path in _HEALTHY or request.path.startswith(("/livez/", "/readyz/")):
            return web.Response(text="ok")
        user = self._authentication.user(request.headers.get("Authorization", ""), _certificate(request))
        user = impersonated(user, request.headers, self._rbac)
        place = place_of(request.path, self._types)
        if place is None:
            return self._document(request, user)
        verb = verb_of(request, place)
        access = place.access(verb, named_by(request.query.get("fieldSelector", "")))
        if self._rbac.allows(user, access) is None:
            raise errors.forbidden(place.each, place.name, access.refusal(user))
        handler = self._handler(place)
        if handler is not None:
            return await handler(request, place, user)
        if place.subresource and place.subresource not in _PARTS_OF_OBJECTS & place.each.subresources:
            raise errors.no_such_path()
        return await self._verbs.answer(verb, request, place, user)

    def _handler(self, place: Place) -> Subresource | None:
        found = self._subresources.get((place.each.plural, place.subresource))
        if found is None and place.subresource in place.each.subresources:
            found = self._subresources.get(("*", place.subresource))
        return found

    def _document(self, request: web.Request, user: User) -> web.Response:
        access = Access(verb=request.method.lower(), path=request.path)
        document = self._documents.find(request.path, request.headers.get("Accept", ""))
        if document is None:
            raise errors.no_such_path()
        if self._rbac.allows(user, access) is None:
            raise ApiError(403, "Forbidden", f"forbidden: {access.refusal(user)}")
        headers = {"ETag": document.tag, "Content-Type": document.content_type}
        return web.Response(body=document.body, headers=headers)


def _certificate(request: web.Request) -> Mapping[str, Any] | None:
    transport = request.transport
    found: Mapping[str, Any] | None = transport.get_extra_info("peercert") if transport is not None else None
    return found
