"""What a token says of itself, unproven: only for how long its review may be kept, and why it was refused."""

from __future__ import annotations

import base64
import binascii
import math

import msgspec

from isthmus.kit.unreadable import UNREADABLE


class Claims(msgspec.Struct, frozen=True):
    """The parts of a service account's token that tell why an API server refuses it."""

    issuer: str = msgspec.field(default="", name="iss")
    audiences: str | tuple[str, ...] = msgspec.field(default=(), name="aud")
    end: float = msgspec.field(default=math.inf, name="exp")

    def is_for(self, audience: str) -> bool:
        """Whether the token says that it is for `audience`."""
        return audience == self.audiences if isinstance(self.audiences, str) else audience in self.audiences


def read(token: str) -> Claims | None:
    """The claims in `token`, whoever wrote them; None where it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(body, type=Claims)
    except (binascii.Error, ValueError, *UNREADABLE):
        return None
