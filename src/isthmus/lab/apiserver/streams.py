"""Watches over HTTP: one line of JSON an event, until the client's time is over."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from aiohttp import web

from isthmus.lab.apiserver import causes
from isthmus.lab.apiserver.answers import Answers, Form, form_of
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.errors import ApiError, bad_request, invalid_options
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.selectors import selector
from isthmus.lab.apiserver.watch import Event, Following

Json = dict[str, Any]
_BOOKMARK_S = 60.0
_USUAL_LIMIT_S = 1800.0
_GOODBYE_S = 5.0  # for a client that does not read
_AT_A_TIME = 200  # events, before others get their turn


async def serve_watch(request: web.Request, api: Api, answers: Answers, place: Place) -> web.StreamResponse:
    """The answer to a watch. A slow client is waited for, and nothing is kept for it meanwhile."""
    form, following = form_of(request), _following(request, place)
    limit_s = _limit_s(request.query.get("timeoutSeconds", ""))
    _must_be_a_version(following.since)
    stream = web.StreamResponse(
        headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    )
    stream.enable_chunked_encoding()
    with suppress(ConnectionError, TimeoutError):
        await stream.prepare(request)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await _tell(stream, api, following, _Lines(form, answers, place))
        async with asyncio.timeout(_GOODBYE_S):
            await stream.write_eof()
    return stream


async def _tell(stream: web.StreamResponse, api: Api, following: Following, lines: _Lines) -> None:
    told = 0
    try:
        async with aclosing(api.watch(following)) as events:
            async for event in events:
                await stream.write(lines.line(lines.shown(event)))
                told += 1
                if told % _AT_A_TIME == 0:
                    await asyncio.sleep(0)
    except ApiError as error:
        await stream.write(lines.line({"type": "ERROR", "object": error.status()}))


def _must_be_a_version(since: str) -> None:
    if since and not since.isdigit():
        why = causes.invalid("resourceVersion", since, "is no version")
        raise ApiError(500, "", f"{why.path}: {why.message}")


def _limit_s(asked: str) -> float:
    if asked and not asked.isdigit():
        raise bad_request(f"invalid timeoutSeconds {asked!r}")
    return float(asked or 0) or _USUAL_LIMIT_S


def _following(request: web.Request, place: Place) -> Following:
    query = request.query
    initial = query.get("sendInitialEvents") in {"true", "1"}
    if initial and query.get("resourceVersionMatch") != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise invalid_options("ListOptions", causes.forbidden("resourceVersionMatch", why))
    fields = query.get("fieldSelector", "")
    if place.name:
        fields = ",".join(part for part in (fields, f"metadata.name={place.name}") if part)
    return Following(
        each=place.each,
        namespace=place.namespace,
        test=selector(query.get("labelSelector", ""), fields),
        since=query.get("resourceVersion", ""),
        bookmark_s=_BOOKMARK_S if query.get("allowWatchBookmarks") in {"true", "1"} else None,
        initial=initial,
    )


class _Lines:
    """Turns events into lines, in the form that the client asks for."""

    def __init__(self, form: Form, answers: Answers, place: Place) -> None:
        self._form, self._answers, self._each = form, answers, place.each
        self._knows_columns = False

    def shown(self, event: Event) -> Json:
        shown = self._answers.event(self._form, self._each, event)
        if self._form.shown_as == "Table":
            if self._knows_columns:
                shown["object"]["columnDefinitions"] = None  # told once
            self._knows_columns = True
        return shown

    @staticmethod
    def line(event: Json) -> bytes:
        return msgspec.json.encode(event) + b"\n"
