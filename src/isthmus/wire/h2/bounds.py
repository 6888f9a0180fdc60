"""What one connection may ask of us."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.wire.h2.peer_settings import DEFAULT_WINDOW


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one connection may ask of us."""

    streams: int = 1_000
    """At once."""
    header_bytes: int = 16 << 10
    """Of one call, as RFC 9113, section 6.5.2 counts them."""
    message_bytes: int = 16 << 20
    window: int = 256 << 10
    """Bytes of one stream that may come before they are read."""
    connection_window: int = 1 << 20
    """And of all together."""
    unread_bytes: int = 20 << 20
    """In memory for one connection: messages that nobody has taken and parts of others."""

    def __post_init__(self) -> None:
        """Raises `ValueError` for windows that a peer may exceed before it hears of them (section 6.9.2)."""
        if min(self.window, self.connection_window) < DEFAULT_WINDOW:
            raise ValueError(f"windows of {DEFAULT_WINDOW} bytes are the least that there are")
