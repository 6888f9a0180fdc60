"""Fetches the keys of issuers over HTTP: within bounds of time, length and ways, and from nowhere near Pilot itself.

Whoever may write a RequestAuthentication chooses what is asked here. So it is GET without any credential, the answer
goes nowhere unless it is a set of keys, and some addresses are not asked: those of this machine and its links.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from isthmus.api.istio.key_uri import wrong_uri
from isthmus.kit import duration
from isthmus.kit.jwks import MOST_BYTES, InvalidJwks, KeySet, read_jwks
from isthmus.kit.tls import client_context
from isthmus.kit.unreadable import UNREADABLE
from isthmus.model.key_source import KeySource

Networks = Sequence[IPv4Network | IPv6Network]

_WAYS = 5
_BLOCK = 1 << 16


def ranges(text: str) -> Networks:
    """The ranges of addresses in `text`, with commas between. Raises `ValueError` where one is none."""
    try:
        return [ip_network(each.strip()) for each in text.split(",") if each.strip()]
    except ValueError as error:
        raise ValueError(f"{error} (hint: like 10.0.0.0/8,fd00::/8)") from error


class CannotFetch(Exception):
    """Why there are no keys, in words that say nothing of what was answered."""


class _Elsewhere(OSError):
    """A name whose addresses are none that are asked."""


class _OpenId(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


class KeyFetcher:
    """Fetches. `roots_path`: a file with CAs by which servers are believed beside those of the system."""

    def __init__(self, refused: Networks, roots_path: str = "") -> None:
        self._refused = refused
        self._roots_path = roots_path

    async def fetch(self, source: KeySource, limit_s: float) -> KeySet:
        """The keys of a source, within `limit_s` seconds. Raises `CannotFetch`."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._fetch(source)
        except TimeoutError as error:
            raise CannotFetch(f"no answer within {duration.show(limit_s)}") from error

    async def body(self, uri: str, limit_s: float) -> bytes:
        """What a URL answers, within the same bounds, `limit_s` seconds and one megabyte. Raises `CannotFetch`."""
        try:
            async with asyncio.timeout(limit_s), await self._session() as http:
                return await self._get(http, uri)
        except TimeoutError as error:
            raise CannotFetch(f"no answer within {duration.show(limit_s)}") from error

    async def _session(self) -> aiohttp.ClientSession:
        context = await asyncio.to_thread(self._context)
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(self._refused), ssl=context, use_dns_cache=False, force_close=True
        )
        return aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def _fetch(self, source: KeySource) -> KeySet:
        async with await self._session() as http:
            uri = source.uri
            if source.issuer:
                uri = _keys_by(source, await self._get(http, uri))
            try:
                return read_jwks(await self._get(http, uri))
            except InvalidJwks as error:
                raise CannotFetch(f"what {_place(uri)} answers {error}") from error

    def _context(self) -> ssl.SSLContext:
        context = client_context()
        if self._roots_path:
            try:
                context.load_verify_locations(cadata=Path(self._roots_path).read_text("ascii"))
            except (OSError, ValueError) as error:
                raise CannotFetch(f"the CAs in {self._roots_path} cannot be read: {error}") from error
        return context

    async def _get(self, http: aiohttp.ClientSession, uri: str) -> bytes:
        for _ in range(_WAYS + 1):
            self._check(uri)
            try:
                async with http.get(uri, headers=_HEADERS, allow_redirects=False) as answer:
                    if answer.status not in _ELSEWHERE:
                        return await _body(uri, answer)
                    uri = _next(uri, answer.headers.get("location", ""))
            except (aiohttp.ClientError, OSError, ValueError) as error:
                if isinstance(error, TimeoutError):
                    raise
                raise CannotFetch(_why(uri, error)) from error
        raise CannotFetch(f"{_place(uri)} leads on more than {_WAYS} times")

    def _check(self, uri: str) -> None:
        """Raises `CannotFetch` where the URL is none to be asked."""
        if wrong := wrong_uri(uri):
            raise CannotFetch(wrong)
        host = urlsplit(uri).hostname or ""
        if _is_refused(host, self._refused):
            raise CannotFetch(f"{host} is not asked: {_NEAR}")


_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "isthmus"}
_ELSEWHERE = frozenset({301, 302, 303, 307, 308})
_NEAR = "addresses of Pilot's own machine and its links may be anything (hint: the issuer's public address)"


class _Resolver(AbstractResolver):
    """Asks the system, and forgets addresses that are refused."""

    def __init__(self, refused: Networks) -> None:
        self._refused = refused

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        allowed = [each for each in found if not _is_refused(str(each[4][0]), self._refused)]
        if found and not allowed:
            raise _Elsewhere(f"is not asked: {_NEAR}")
        return [
            ResolveResult(
                hostname=host, host=str(each[4][0]), port=port, family=each[0], proto=each[2], flags=0
            )
            for each in allowed
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _is_refused(host: str, refused: Networks) -> bool:
    """Whether `host` is an address that is not asked; a name is none."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in refused)


async def _body(uri: str, answer: aiohttp.ClientResponse) -> bytes:
    if answer.status != 200:
        raise CannotFetch(f"{_place(uri)} answers {answer.status}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise CannotFetch(f"{_place(uri)} answers in an encoding that was not asked for")
    body = bytearray()
    async for block in answer.content.iter_chunked(_BLOCK):
        body += block
        if len(body) > MOST_BYTES:
            raise CannotFetch(f"{_place(uri)} answers with more than {MOST_BYTES >> 20} MB")
    return bytes(body)


def _next(uri: str, location: str) -> str:
    """Where an answer leads; never from TLS to plain text."""
    found = urljoin(uri, location)
    if not location or (uri.startswith("https:") and not found.startswith("https:")):
        raise CannotFetch(f"{_place(uri)} leads out of TLS, or nowhere")
    return found


def _keys_by(source: KeySource, body: bytes) -> str:
    """Where an issuer says that its keys are. Source: OpenID Connect Discovery 1.0, section 4.3."""
    try:
        said = msgspec.json.decode(body, type=_OpenId)
    except UNREADABLE as error:
        raise CannotFetch(f"{_place(source.uri)} does not say where its keys are (hint: jwksUri)") from error
    if said.issuer.rstrip("/") != source.issuer.rstrip("/"):
        raise CannotFetch(f"{_place(source.uri)} speaks of another issuer (hint: jwksUri)")
    return said.jwks_uri


def _place(uri: str) -> str:
    """As much of a URL as findings say."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _why(uri: str, error: Exception) -> str:
    at = _place(uri)
    match error:
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            reason = getattr(cause, "verify_message", "") or type(cause).__name__
            return f"the certificate of {at} is not believed: {reason}"
        case aiohttp.ClientConnectorDNSError(os_error=_Elsewhere() as cause):
            return f"{urlsplit(uri).hostname} {cause}"
        case aiohttp.ClientConnectorDNSError():
            return f"{urlsplit(uri).hostname} has no address"
        case aiohttp.ClientConnectorSSLError():
            return f"{at} does not speak TLS as it should"
        case aiohttp.ClientOSError() | OSError():
            return f"{at} cannot be reached: {error.strerror or type(error).__name__}"
    return f"{at} does not answer in HTTP as it should"
