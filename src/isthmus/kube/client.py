"""One API server over HTTP: requests, errors as exceptions, credentials renewed when they are refused."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec
from multidict import CIMultiDict

from isthmus.api.resource import Kind
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import kube as log
from isthmus.kit.tls import client_context
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.auth import Proof, Prover, prover
from isthmus.kube.errors import Gone, KubeError, Refused, Silent, Unauthorized, Unreachable, refused
from isthmus.kube.kubeconfig import Access

Json = dict[str, Any]
T = TypeVar("T")

_REQUEST_LIMIT_S = 30.0
_CONNECT_LIMIT_S = 5.0
_PAGE = 500
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""ValueError: an address or a token that no request can carry."""
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class PageMeta(msgspec.Struct, rename="camel"):
    """Where a page stands in its list."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct):
    """One page of a list: the objects as they came."""

    items: list[msgspec.Raw] = []
    metadata: PageMeta = msgspec.field(default_factory=PageMeta)


class Listing(msgspec.Struct, frozen=True):
    """All objects of a list, and the version at which a watch goes on from it."""

    items: list[msgspec.Raw]
    resource_version: str


class Scope(msgspec.Struct, frozen=True):
    """Which objects of a kind: of one namespace or all (empty), and those that the selectors let through."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""

    def query(self) -> dict[str, str]:
        query = {"labelSelector": self.labels, "fieldSelector": self.fields}
        return {key: value for key, value in query.items() if value}


def path_of(kind: Kind, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The URL path of a collection (no name), an object, or a subresource."""
    prefix = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    place = f"/namespaces/{namespace}" if namespace and kind.namespaced else ""
    tail = "".join(f"/{part}" for part in (name, subresource) if part)
    return f"{prefix}{place}/{kind.plural}{tail}"


class Client:
    """An API server and who we are there: an async context manager, for use by many tasks."""

    def __init__(
        self,
        access: Access,
        *,
        clock: Clock | None = None,
        agent: str = "isthmus",
        proof: Prover | None = None,
    ) -> None:
        """`proof` gives what is shown there, where that is not simply what `access` says."""
        self.access = access
        self._prover: Prover = proof or prover(access, clock)
        self._agent = agent
        self._session: aiohttp.ClientSession | None = None
        self._shown: Proof | None = None
        self._tls: ssl.SSLContext | bool = True
        self.told_at: float | None = None
        """What time it was for the API server when it answered last, in whole seconds; None: it did not say."""

    async def __aenter__(self) -> Self:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_LIMIT_S)
        self._session = aiohttp.ClientSession(
            timeout=limits, headers={"User-Agent": self._agent}, read_bufsize=1 << 20
        )
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections; requests under way fail."""
        if self._session is not None:
            await self._session.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """The object as JSON. Raises `NotFound`."""
        return _json(await self.request("GET", path_of(kind, namespace, name)))

    async def list_all(self, kind: Kind, scope: Scope | None = None) -> Listing:
        """All objects in `scope`, fetched in pages. A list that expires half-way is fetched anew in one."""
        scope = scope or Scope()
        try:
            return await self._list(kind, scope, _PAGE)
        except Gone:
            return await self._list(kind, scope, 0)

    async def create(self, kind: Kind, obj: Mapping[str, Any]) -> Json:
        """The object as the API server made it. Raises `Conflict` where it exists."""
        namespace = obj["metadata"].get("namespace", "")
        return _json(await self.request("POST", path_of(kind, namespace), body=obj))

    async def apply(self, kind: Kind, obj: Mapping[str, Any], manager: str, *, force: bool = True) -> Json:
        """The object after server-side apply. `manager` owns the fields in `obj`, and no others of it."""
        meta = obj["metadata"]
        path = path_of(kind, meta.get("namespace", ""), meta["name"])
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return _json(await self.request("PATCH", path, query=query, body=obj, content_type=APPLY_PATCH))

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> Json:
        """The object after a merge patch (RFC 7386)."""
        path = path_of(kind, namespace, name)
        return _json(await self.request("PATCH", path, body=patch, content_type=MERGE_PATCH))

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Ask for the object's end. Raises `NotFound`."""
        await self.request("DELETE", path_of(kind, namespace, name))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> bytes:
        """The body of the answer. Raises `Refused`, `Unreachable`; a 401 is tried once more, proven anew."""
        try:
            return await self._once(method, path, query, body, content_type)
        except Unauthorized:
            return await self._once(method, path, query, body, content_type)

    async def stream(
        self, path: str, query: Mapping[str, str], silence_s: float
    ) -> AsyncGenerator[bytes, None]:
        """The lines of an endless answer, an empty one as soon as it begins.

        Raises `Unreachable`: `Silent` after `silence_s` seconds without a byte.
        """
        session, headers, proof = await self._ready()
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_LIMIT_S, sock_read=silence_s)
        try:
            async with asyncio.timeout(_REQUEST_LIMIT_S):
                answer = await session.get(
                    self.access.server + path,
                    params=query,
                    headers=headers,
                    timeout=limits,
                    **self._connection(),
                )
            async with answer:
                if answer.status >= 400:
                    raise self._refused(proof, answer.status, await answer.read())
                yield b""  # it is there, and that is news by itself
                async for line in _lines(answer.content):
                    yield line
        except aiohttp.SocketTimeoutError as error:
            raise Silent(f"{self.access.server} said nothing for {silence_s:.0f} s") from error
        except _FAILURES as error:
            raise _unreachable(self.access.server, error) from error

    async def websocket(
        self, path: str, query: list[tuple[str, str]], protocols: tuple[str, ...]
    ) -> aiohttp.ClientWebSocketResponse:
        """An open WebSocket, as `exec` speaks it."""
        session, headers, proof = await self._ready()
        try:
            return await session.ws_connect(
                self.access.server + path,
                params=query,
                headers=headers,
                protocols=protocols,
                **self._connection(),
            )
        except aiohttp.WSServerHandshakeError as error:
            raise self._refused(proof, error.status, error.message.encode()) from error
        except _FAILURES as error:
            raise _unreachable(self.access.server, error) from error

    async def _list(self, kind: Kind, scope: Scope, limit: int) -> Listing:
        query = scope.query() | ({"limit": str(limit)} if limit else {})
        items: list[msgspec.Raw] = []
        while True:
            body = await self.request("GET", path_of(kind, scope.namespace), query=query)
            page = _decoded(body, Page)
            items += page.items
            if not page.metadata.continue_:
                return Listing(items, page.metadata.resource_version)
            query["continue"] = page.metadata.continue_

    async def _once(
        self, method: str, path: str, query: Mapping[str, str] | None, body: object, content_type: str
    ) -> bytes:
        session, headers, proof = await self._ready()
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            headers["Content-Type"] = content_type
        try:
            async with session.request(
                method,
                self.access.server + path,
                params=query,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_REQUEST_LIMIT_S, sock_connect=_CONNECT_LIMIT_S),
                **self._connection(),
            ) as answer:
                content = await answer.read()
                log.debug("asked", method=method, server=self.access.server, path=path, status=answer.status)
                self.told_at = _moment(answer.headers.get("Date", ""))
                if answer.status >= 400:
                    raise self._refused(proof, answer.status, content)
                return content
        except _FAILURES as error:
            raise _unreachable(self.access.server, error) from error

    def _refused(self, proof: Proof, status: int, body: bytes) -> Refused:
        error = refused(status, body)
        if isinstance(error, Unauthorized):
            self._prover.forget(proof)
        return error

    async def _ready(self) -> tuple[aiohttp.ClientSession, CIMultiDict[str], Proof]:
        if self._session is None:
            raise KubeError("the client is not open (hint: async with Client(access))")
        proof = await self._prover.proof()
        if proof is not self._shown:
            self._tls = self._tls_for(proof)
            self._shown = proof
        headers = CIMultiDict({"Accept": "application/json"})
        if self.access.impersonation is not None:
            headers.extend(self.access.impersonation.headers)
        if proof.token is not None:
            headers["Authorization"] = "Bearer " + str.__str__(proof.token)
        return self._session, headers, proof

    def _tls_for(self, proof: Proof) -> ssl.SSLContext | bool:
        if not self.access.server.startswith("https://"):
            return True
        pair = proof.certificate
        try:
            return client_context(
                roots=self.access.ca,
                certificate=pair.certificate if pair else None,
                key=pair.key.encode() if pair else None,
                verify=self.access.verify,
            )
        except (ssl.SSLError, ValueError) as error:
            what = "certificate-authority or client-certificate and client-key are no PEM that fits"
            raise KubeError(f"{what}: {error}") from error

    def _connection(self) -> Json:
        return {
            "ssl": self._tls,
            "server_hostname": self.access.server_name,
            "proxy": self.access.proxy_url,
        }


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: objects are longer than a stream reader's own limit for lines."""
    rest: list[bytes] = []
    async for chunk in content.iter_any():
        *lines, tail = chunk.split(b"\n")
        for line in lines:
            if rest:
                rest.append(line)
                line = b"".join(rest)  # noqa: PLW2901 - the line is whole only now
                rest = []
            if line:
                yield line
        if tail:
            rest.append(tail)


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def _json(body: bytes) -> Json:
    return _decoded(body, dict[str, Any])


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise Unreachable(f"the answer is none of an API server: {error} (hint: a proxy?)") from error


def _unreachable(server: str, error: Exception) -> Unreachable:
    what = str(error) or type(error).__name__
    if isinstance(error, TimeoutError):
        what = "nothing came in time"
    if isinstance(error, aiohttp.ClientConnectorError):  # it names the server again, and our TLS context
        cause = error.os_error
        refused = isinstance(cause, ConnectionError) and cause.errno
        what = os.strerror(refused) if refused else str(cause.strerror or cause)
    return Unreachable(f"no answer from {server}: {what}")
