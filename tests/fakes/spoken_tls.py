"""The TLS in which Envoy speaks to an application: what it says first, and whether it shows a certificate.

Callers speak TLS through Envoy, too. It is told by the versions: an Envoy here speaks no TLS 1.3, and they all do.
"""

from __future__ import annotations

import socket
import ssl
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from fakes.staged_certificates import PKI, SHOWN

NEWEST_OF_ENVOY = "TLSv1_2"
_RECORD, _HELLO, _VERSION_13 = 22, 1, b"\x03\x04"
_SNI, _ALPN, _VERSIONS = 0, 16, 43
_MOST = 1 << 14


class Spoken(NamedTuple):
    """How the bytes are wrapped; by the words of `trace.steps.Tls`."""

    mode: str = "plain"
    sni: str = ""
    alpn: tuple[str, ...] = ()

    def __str__(self):
        return f"{self.mode} {self.sni or '-'} {','.join(self.alpn) or '-'}"

    @classmethod
    def parse(cls, text):
        mode, sni, alpn = text.split()
        return cls(mode, "" if sni == "-" else sni, () if alpn == "-" else tuple(alpn.split(",")))


def unwrapped(connection):
    """The connection without the TLS in which an Envoy speaks on it, and what that is."""
    first = connection.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL)
    if first[:1] != bytes([_RECORD]) or len(first) < 5:
        return connection, Spoken()
    length = 5 + int.from_bytes(first[3:5])
    extensions = _extensions(connection.recv(min(length, _MOST), socket.MSG_PEEK | socket.MSG_WAITALL)[5:])
    if _VERSION_13 in extensions.get(_VERSIONS, b""):
        return connection, Spoken()  # a caller's, which is not for us
    made = _context().wrap_socket(connection, server_side=True)
    mode = "mutual" if made.getpeercert(binary_form=True) else "tls"
    sni = extensions.get(_SNI, b"")[5:].decode()
    return made, Spoken(mode, sni, tuple(_names(extensions.get(_ALPN, b"")[2:])))


@cache
def _context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.verify_mode = ssl.CERT_OPTIONAL
    made.load_verify_locations(cadata=PKI.roots.decode())
    with TemporaryDirectory() as folder:
        file = Path(folder) / "shown.pem"
        file.write_bytes(SHOWN.certificate + SHOWN.key)
        made.load_cert_chain(file)
    return made


def _extensions(hello):
    """Those of a ClientHello, by their numbers. Source: RFC 8446, 4.1.2."""
    if hello[:1] != bytes([_HELLO]):
        return {}
    rest = hello[4 + 2 + 32 :]
    for size in (1, 2, 1):  # session, ciphers, compression
        rest = rest[size + int.from_bytes(rest[:size]) :]
    rest, found = rest[2:], {}
    while len(rest) >= 4:
        kind, length = int.from_bytes(rest[:2]), int.from_bytes(rest[2:4])
        found[kind], rest = rest[4 : 4 + length], rest[4 + length :]
    return found


def _names(data):
    while data:
        yield data[1 : 1 + data[0]].decode()
        data = data[1 + data[0] :]
