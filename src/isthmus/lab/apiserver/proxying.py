"""`pods/proxy` and `services/proxy`: requests handed on to what listens in a pod."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from aiohttp import web

from isthmus.kit.tls import client_context
from isthmus.lab.apiserver.doors import Doors, NoEndpoint, Streams
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.nodes import NodeError
from isthmus.lab.apiserver.paths import Place
from isthmus.lab.apiserver.plain_http import Ask, BadReply, Reply, end_to_end, exchange
from isthmus.lab.apiserver.users import User

_CONNECT_LIMIT_S = 10.0
_NOT_HANDED_ON = frozenset({"authorization", "host", "content-length", "accept-encoding"})


class Proxying:
    """Hands requests on to pods and services of one cluster."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def pod(self, request: web.Request, place: Place, _user: User) -> web.StreamResponse:
        """The pod's answer. Raises `ApiError` (503) where it cannot be reached."""
        return await self._hand_on(request, place)

    async def service(self, request: web.Request, place: Place, _user: User) -> web.StreamResponse:
        """The answer of a ready pod behind the service. Raises `ApiError` (503) where there is none."""
        return await self._hand_on(request, place)

    async def _hand_on(self, request: web.Request, place: Place) -> web.StreamResponse:
        scheme, name, port = _target(place.name)
        try:
            async with asyncio.timeout(_CONNECT_LIMIT_S):
                reader, writer = await self._connect(place, (scheme, name, port))
        except (NodeError, NoEndpoint, OSError, TimeoutError) as error:
            words = str(error) or "no answer in time"
            raise ApiError(
                503, "ServiceUnavailable", f"error trying to reach {place.name}: {words}"
            ) from error
        try:
            reply = await exchange(reader, writer, _ask(request, place, name, await request.read()))
            return await _relay(request, reply)
        except BadReply as error:
            raise ApiError(502, "BadGateway", f"error trying to reach {place.name}: {error}") from error
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _connect(self, place: Place, target: tuple[str, str, str]) -> Streams:
        scheme, name, port = target
        open_to = self._doors.to_pod if place.each.kind == "Pod" else self._doors.to_service
        reader, writer = await open_to(place.namespace, name, port)
        if scheme == "https":
            # Kubernetes does not verify here either: a pod's certificate is its own affair.
            await writer.start_tls(client_context(verify=False), server_hostname=name)
        return reader, writer


def _target(name: str) -> tuple[str, str, str]:
    """Scheme, name and port in `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`."""
    match name.split(":"):
        case [scheme, own, port]:
            return scheme or "http", own, port
        case [own, port]:
            return "http", own, port
        case _:
            return "http", name, ""


def _ask(request: web.Request, place: Place, name: str, body: bytes) -> Ask:
    raw = request.rel_url.raw_path_qs
    marker = f"/{place.each.plural}/"
    behind = raw[raw.index(marker) + len(marker) :]
    path = behind.partition("/proxy")[2]
    headers = [(key, value) for key, value in request.headers.items() if key.lower() not in _NOT_HANDED_ON]
    headers += [("Host", name), ("X-Forwarded-Uri", raw.partition("?")[0])]
    return Ask(request.method, path if path.startswith("/") else f"/{path}", end_to_end(headers), body)


async def _relay(request: web.Request, reply: Reply) -> web.StreamResponse:
    answer = web.StreamResponse(status=reply.status, reason=reply.reason)
    for key, value in end_to_end(reply.headers):
        answer.headers.add(key, value)
    await answer.prepare(request)
    with suppress(ConnectionResetError):
        async for part in reply.body:
            await answer.write(part)
        await answer.write_eof()
    return answer
