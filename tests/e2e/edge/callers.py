"""Somebody outside who calls the gateway in TLS, as a browser would."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fakes.pki import Pki, Shown
from isthmus.kit import x509


class Seen(NamedTuple):
    """What came of one request: its status, the serial number of the certificate that was shown, and the body."""

    status: int
    serial: str
    body: str

    @property
    def said(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Outside:
    """A caller that trusts `pki`, and shows a certificate of its own if it has one."""

    def __init__(self, url: str, pki: Pki, own: Shown | None = None) -> None:
        self._place = urlsplit(url)
        self._context = ssl.create_default_context(cadata=pki.roots.decode())
        if own is not None:
            with tempfile.TemporaryDirectory() as folder:
                pair = Path(folder) / "pair.pem"
                pair.write_bytes(own.certificate + own.key)
                self._context.load_cert_chain(pair)

    async def get(self, host: str, path: str = "/") -> Seen:
        """The answer to a request on a connection of its own. Raises `OSError` where there is none."""
        return await asyncio.to_thread(self._get, host, path)

    def _get(self, host: str, path: str) -> Seen:
        place = (str(self._place.hostname), int(self._place.port or 0))
        with (
            socket.create_connection(place, timeout=20) as plain,
            self._context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True) or b""
            secured.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
            answer = http.client.HTTPResponse(secured)
            answer.begin()
            body = answer.read().decode(errors="replace")
        certificate = x509.load_certificate(ssl.DER_cert_to_PEM_cert(shown).encode())
        return Seen(answer.status, x509.serial(certificate), body)
