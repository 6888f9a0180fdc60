"""A named body of bytes with a version that is its fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of which many bodies are joined, read once to know them again."""

    body: bytes = field(repr=False)
    digest: bytes

    @classmethod
    def of(cls, body: bytes) -> Part:
        """`body`, with its fingerprint."""
        return cls(body, _digest(body))


@dataclass(frozen=True, slots=True)
class Versioned:
    """A resource serialised once: `body` is sent as it is to everyone who may have it."""

    name: str
    body: bytes = field(repr=False)  # it may be a key
    version: str

    @classmethod
    def of(cls, name: str, body: bytes) -> Versioned:
        """`body` under `name`; equal bodies have equal versions."""
        return cls(name, body, _digest(body).hex())

    @classmethod
    def joined(cls, name: str, parts: Sequence[Part]) -> Versioned:
        """`parts` one after the other under `name`; equal parts have equal versions, and are not read for it."""
        version = _digest(b"".join([part.digest for part in parts]))
        return cls(name, b"".join([part.body for part in parts]), version.hex())


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=8).digest()
