"""Watches over HTTP: one line of JSON an event, until the client's time is over."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from aiohttp import web

from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.selectors import selector
from isthmus.lab.apiserver.tables import Tables, partial
from isthmus.lab.apiserver.watch import Event, Following

Json = dict[str, Any]
_BOOKMARK_S = 60.0
_USUAL_LIMIT_S = 1800.0


async def serve_watch(request: web.Request, api: Api, tables: Tables, place: Place) -> web.StreamResponse:
    """The answer to a watch. A slow client is waited for, and nothing is kept for it meanwhile."""
    following = _following(request, place)
    events = api.watch(following)
    answer = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache"})
    answer.enable_chunked_encoding()
    limit_s = float(request.query.get("timeoutSeconds") or _USUAL_LIMIT_S)
    show = _Shower(request, tables, place, api)
    with suppress(ConnectionResetError, TimeoutError):
        # A history that is too short is told before the stream begins, where that is possible.
        api_error: ApiError | None = None
        if following.since not in {"", "0"} and not following.initial:
            try:
                next(iter(api.store.since((place.each.group, place.each.plural), int(following.since))), None)
            except ApiError as error:
                api_error = error
        if api_error is not None:
            raise api_error
        await answer.prepare(request)
        async with asyncio.timeout(limit_s), aclosing(events) as stream:
            try:
                async for event in stream:
                    await answer.write(show.line(event))
            except ApiError as error:
                await answer.write(_line("ERROR", error.status()))
    with suppress(ConnectionResetError):
        await answer.write_eof()
    return answer


def _following(request: web.Request, place: Place) -> Following:
    query = request.query
    fields = query.get("fieldSelector", "")
    if place.name:
        fields = ",".join(part for part in (fields, f"metadata.name={place.name}") if part)
    return Following(
        each=place.each,
        namespace=place.namespace,
        test=selector(query.get("labelSelector", ""), fields),
        since=query.get("resourceVersion", ""),
        bookmark_s=_BOOKMARK_S if query.get("allowWatchBookmarks") == "true" else None,
        initial=query.get("sendInitialEvents") == "true",
    )


class _Shower:
    """Turns events into lines, in the form that the client asks for."""

    def __init__(self, request: web.Request, tables: Tables, place: Place, api: Api) -> None:
        accept = request.headers.get("Accept", "")
        self._is_table, self._is_partial = "as=Table" in accept, "as=PartialObjectMetadata" in accept
        self._include = request.query.get("includeObject", "Metadata")
        self._tables, self._each, self._clock = tables, place.each, api.clock
        self._is_first = True

    def line(self, event: Event) -> bytes:
        obj = event.object
        if event.kind == "BOOKMARK":
            return _line(event.kind, obj)
        if self._is_table:
            table = self._tables.table(self._each, [obj], self._clock.now(), self._include)
            if not self._is_first:
                table["columnDefinitions"] = None  # told once
            self._is_first = False
            obj = table | {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}}
        elif self._is_partial:
            obj = partial(obj)
        return _line(event.kind, obj)


def _line(kind: str, obj: Json) -> bytes:
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"
