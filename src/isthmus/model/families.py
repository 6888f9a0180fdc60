"""The versions of IP, 4 and 6: which of them an address is of, and which a proxy has addresses of (ADR 0018)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Families = tuple[int, ...]
"""Versions of IP, sorted."""

BOTH: Families = (4, 6)


def family(address: str) -> int:
    """The version of an address or range; 0 for a path, and where there is no address."""
    if not address or address.startswith(("unix:", "/")):
        return 0
    return 6 if ":" in address else 4


def spoken(addresses: Iterable[str], families: Families) -> Iterator[str]:
    """Those that somebody with addresses of these families can call."""
    return (each for each in addresses if family(each) in {0, *families})
