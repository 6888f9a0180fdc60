"""The API server as the lab's own parts ask it, as administrators: JSON over HTTPS from a network namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec

from isthmus.kit.tls import client_context
from isthmus.lab.apiserver.credentials import ClusterCredentials
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.requests import Target
from isthmus.lab.netns import NetworkNamespace
from isthmus.lab.sockets import socket_factory

Json = dict[str, Any]
_LIMIT = aiohttp.ClientTimeout(total=30)
_UNENDING = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=90)
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError)
_LINE_BYTES = 1 << 22


def path_of(target: Target) -> str:
    """The URL path of an object, of a part of it, or without a name of a collection."""
    each = target.each
    prefix = f"/apis/{each.api_version}" if each.group else f"/api/{each.api_version}"
    place = f"/namespaces/{target.namespace}" if target.namespace and each.namespaced else ""
    tail = "".join(f"/{part}" for part in (target.name, target.subresource) if part)
    return f"{prefix}{place}/{each.plural}{tail}"


class ApiClient:
    """The API server at `url`, met from `namespace`. `close` ends its connections."""

    def __init__(self, namespace: NetworkNamespace, credentials: ClusterCredentials, url: str) -> None:
        own = credentials.admin
        tls = client_context(roots=credentials.ca, certificate=own.certificate, key=own.key)
        connector = aiohttp.TCPConnector(ssl=tls, limit=0, socket_factory=socket_factory(namespace))
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_LINE_BYTES)
        self._url = url

    async def close(self) -> None:
        """End all connections; requests under way fail."""
        await self._session.close()

    async def is_ready(self) -> bool:
        """Whether it says so."""
        try:
            async with self._session.get(f"{self._url}/readyz", timeout=_LIMIT) as answer:
                return answer.status == 200
        except _FAILURES:
            return False

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """The answer. Raises `ApiError`: what it refuses, and 503 where it does not answer."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": content_type}
        try:
            async with self._session.request(
                method, self._url + path, params=query, data=data, headers=headers, timeout=_LIMIT
            ) as answer:
                content: Json = msgspec.json.decode(await answer.read())
                if answer.status >= 400:
                    raise _refused(answer.status, content)
                return content
        except _FAILURES as error:
            raise _silent(error) from error

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Json]:
        """What a watch tells, until it ends. Raises `ApiError`."""
        try:
            async with self._session.get(self._url + path, params=query, timeout=_UNENDING) as answer:
                if answer.status >= 400:
                    raise _refused(answer.status, msgspec.json.decode(await answer.read()))
                async for line in answer.content:
                    yield msgspec.json.decode(line)
        except _FAILURES as error:
            raise _silent(error) from error


def _refused(code: int, status: Json) -> ApiError:
    words = status.get("message", f"HTTP {code}")
    return ApiError(int(status.get("code", code)), status.get("reason", ""), words, status.get("details"))


def _silent(error: Exception) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"the API server does not answer: {error!r}")
