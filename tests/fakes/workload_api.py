"""A Workload API on a unix socket, as SPIRE's agent serves it: real certificates, made here, over real gRPC.

For answers that SPIRE itself (fakes/spire.py) does not give; the messages are those of SPIFFE's specification.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from isthmus.kit import x509
from isthmus.kit.protobuf import field
from isthmus.kit.watchable import Watchable
from isthmus.sidecar.workload_api import FETCH_X509_SVID, HEADER
from isthmus.wire.listeners import Unix
from isthmus.wire.serve import Bidi, GrpcServer
from isthmus.wire.stream import Code, Refused, Stream, StreamClosed


class TrustDomain:
    """A SPIRE server: the root of a trust domain, an intermediate, and whatever they sign."""

    def __init__(self, name: str) -> None:
        self.name = name
        span = x509.Life.at(time.time(), 86_400)
        root_key, key = x509.new_key(), x509.new_key()
        self.root = x509.root(root_key, f"SPIRE {name}", span)
        issuer = x509.Issuer(self.root, root_key)
        self.intermediate = x509.intermediate(issuer, key.public_key(), f"SPIRE {name} CA", span)
        self._issuer = x509.Issuer(self.intermediate, key)

    @property
    def bundle(self) -> bytes:
        return self.root.public_bytes(serialization.Encoding.DER)

    def svid(self, uri: str, life_s: float = 3600, **changed: bytes) -> bytes:
        """An X509SVID message of a new certificate for `uri`, but for what is `changed`."""
        key = x509.new_key()
        leaf = x509.leaf(
            self._issuer, key.public_key(), x509.Names(uris=(uri,)), x509.Life.at(time.time(), life_s)
        )
        parts = {
            "spiffe_id": uri.encode(),
            "chain": der(leaf) + der(self.intermediate),
            "key": key_der(key),
            "bundle": self.bundle,
        } | changed
        return b"".join(field(number, part) for number, part in enumerate(parts.values(), start=1))


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def key_der(key: x509.PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def answer(*svids: bytes, federated: Mapping[str, bytes] | None = None) -> bytes:
    """An X509SVIDResponse message."""
    entries = (field(1, name.encode()) + field(2, bundle) for name, bundle in (federated or {}).items())
    return b"".join([*(field(1, each) for each in svids), *(field(3, each) for each in entries)])


class WorkloadApi:
    """Serves `says` to everybody, and again when it changes; None: there is no entry for the caller."""

    def __init__(self, path: Path) -> None:
        self.says: Watchable[bytes | None] = Watchable(None)
        self.streams = 0
        self.socket = f"unix:{path}"
        self.server = GrpcServer({FETCH_X509_SVID: Bidi(self._fetch)}, [Unix(str(path))])
        self._hang_up = asyncio.Event()

    def hang_up(self) -> None:
        """End all streams."""
        ended, self._hang_up = self._hang_up, asyncio.Event()
        ended.set()

    async def _fetch(self, stream: Stream) -> None:
        if dict(HEADER).items() - dict(stream.metadata).items():
            raise Refused(Code.INVALID_ARGUMENT, "security header missing from request")
        if await stream.receive() is None:
            raise Refused(Code.INVALID_ARGUMENT, "no request")
        self.streams += 1
        ended = self._hang_up
        async with asyncio.TaskGroup() as group:
            talk = group.create_task(self._talk(stream))
            end = group.create_task(ended.wait())
            await asyncio.wait((talk, end), return_when=asyncio.FIRST_COMPLETED)
            end.cancel()
            if not talk.done():
                talk.cancel()
        if not talk.cancelled() and talk.done() and talk.result() is not None:
            raise talk.result()

    async def _talk(self, stream: Stream) -> Refused | None:
        async for said in self.says.changes():
            if said is None:
                return Refused(Code.PERMISSION_DENIED, "no identity issued")
            try:
                await stream.send(said)
            except StreamClosed:
                return None
        return None


def each_byte_changed(message: bytes, step: int) -> Iterator[bytes]:
    """`message` with one byte changed, here and there."""
    for at in range(0, len(message), step):
        yield message[:at] + bytes([message[at] ^ 0x41]) + message[at + 1 :]
