"""`pods/log`: what a container has written, and writes while someone follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from aiohttp import web

from isthmus.lab.apiserver.ages import seconds_of
from isthmus.lab.apiserver.api import Api
from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.containers import container_of
from isthmus.lab.apiserver.errors import bad_request
from isthmus.lab.apiserver.nodes import LogQuery, NodeError, Nodes
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.users import User

_TRUE = frozenset({"true", "1"})


class PodLogs:
    """Answers for the logs of one cluster's pods."""

    def __init__(self, api: Api, nodes: Callable[[], Nodes | None]) -> None:
        self._api = api
        self._nodes = nodes

    async def answer(self, request: web.Request, place: Place, _user: User) -> web.StreamResponse:
        """The log as text. Raises `ApiError` for a wrong container, or one that has not started."""
        pod = self._api.get(builtin("pods"), place.namespace, place.name)
        container = container_of(pod, request.query.get("container", ""))
        nodes = self._nodes()
        if nodes is None or not (pod.get("spec") or {}).get("nodeName"):
            raise bad_request(f"pod {place.name} does not have a host assigned")
        query = log_query(request.query, container, self._api.clock.now())
        return await send_log(request, nodes, (place.namespace, place.name), query)


def log_query(asked: Mapping[str, str], container: str, now: float) -> LogQuery:
    """What is asked of a container's log. Raises `ApiError` (400)."""
    since = seconds_of(asked.get("sinceTime"))
    if "sinceSeconds" in asked:
        since = now - _count(asked["sinceSeconds"], "sinceSeconds", 1)
    tail, limit = asked.get("tailLines"), asked.get("limitBytes")
    return LogQuery(
        container=container,
        follow=asked.get("follow") in _TRUE,
        previous=asked.get("previous") in _TRUE,
        timestamps=asked.get("timestamps") in _TRUE,
        tail_lines=_count(tail, "tailLines", 0) if tail else None,
        since=since,
        limit_bytes=_count(limit, "limitBytes", 1) if limit else None,
    )


async def send_log(
    request: web.Request, nodes: Nodes, place: tuple[str, str], query: LogQuery
) -> web.StreamResponse:
    """The log of a container of the pod at `place` (namespace, name). Raises `ApiError` for one that has none."""
    try:
        lines = nodes.logs(*place, query)
    except NodeError as error:
        raise bad_request(str(error)) from error
    answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
    answer.enable_chunked_encoding()
    await answer.prepare(request)
    with suppress(ConnectionResetError):
        try:
            async for part in lines:
                await answer.write(part)
        except NodeError as error:
            await answer.write(f"{error}\n".encode())
        await answer.write_eof()
    return answer


def _count(text: str, name: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise bad_request(f"{name}: Invalid value: {text!r}: must be a number of at least {least}")
    return int(text)
