"""A call: a connection, what is spoken on it first, and the request, if it is one."""

from __future__ import annotations

from enum import Enum

import msgspec

from isthmus.kit.ip import authority


class Speech(Enum):
    """What a caller says first on a connection, under TLS if there is any."""

    HTTP1 = "HTTP/1.1"
    HTTP2 = "HTTP/2"
    BYTES = "bytes"
    SILENCE = "silence"  # the server speaks first
    DATAGRAMS = "datagrams"

    @property
    def is_http(self) -> bool:
        return self in {Speech.HTTP1, Speech.HTTP2}


_SAFE = "GET HEAD OPTIONS TRACE"
_CHANGING = "CONNECT DELETE PATCH POST PUT"
_OF_EXTENSIONS = (
    "ACL BIND CHECKOUT COPY LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY PROPFIND PROPPATCH "
    "PURGE REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE"
)
METHODS = frozenset(f"{_SAFE} {_CHANGING} {_OF_EXTENSIONS}".split())
"""Those that Envoy takes over HTTP/1.1 where it is not told to take any (`allow_custom_methods`)."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The beginning of a TLS handshake, and who the caller proves to be; empty: nobody."""

    sni: str = ""
    alpn: tuple[str, ...] = ()
    identity: str = ""
    names: tuple[str, ...] = ()  # DNS names of the same certificate


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request as its sender says it. Names of headers are in lower case; `path` has the query."""

    method: str = "GET"
    host: str = ""
    path: str = "/"
    scheme: str = "http"
    headers: tuple[tuple[str, str], ...] = ()

    def value(self, name: str) -> str | None:
        """The header's value, several joined by commas as Envoy does; None where there is none."""
        name = name.lower()
        if name in _PSEUDO:
            return str(getattr(self, _PSEUDO[name]))
        found = [value for key, value in self.headers if key.lower() == name]
        return ",".join(found) if found else None

    @property
    def bare_path(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]


_PSEUDO = {":method": "method", ":authority": "host", "host": "host", ":path": "path", ":scheme": "scheme"}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A connection to an address and port. An address that nobody knows is empty."""

    address: str
    port: int
    speech: Speech = Speech.HTTP1
    request: Request | None = None
    hello: Hello | None = None  # of the TLS around it
    source: str = ""  # the caller's address
    hosts: tuple[str, ...] = ()  # of datagrams: what their name may stand for, for they do not say it

    def __str__(self) -> str:
        where = authority(self.address or "(address unknown)", self.port)
        tls = f" in TLS for {self.hello.sni or '(no name)'}" if self.hello else ""
        if self.request is None:
            return f"{self.speech.value} to {where}{tls}"
        return f"{self.request.method} {self.request.host}{self.request.path} to {where}{tls}"


class Untraceable(ValueError):
    """The resources say something that the walk cannot follow; the message says what and where."""
