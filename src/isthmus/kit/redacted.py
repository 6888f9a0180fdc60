"""Secrets that pass through our hands: they are nowhere shown."""

from __future__ import annotations


class Redacted(str):
    """Text that must not be printed: its `repr` and its form in logs is `<redacted>`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"
