"""A named body of bytes with a version that is its fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Versioned:
    """A resource serialised once: `body` is sent as it is to everyone who may have it."""

    name: str
    body: bytes = field(repr=False)  # it may be a key
    version: str

    @classmethod
    def of(cls, name: str, body: bytes) -> Versioned:
        """`body` under `name`; equal bodies have equal versions."""
        return cls(name, body, blake2b(body, digest_size=8).hexdigest())
