"""The roots in a file, for who shares the pod with Citadel: its ConfigMap is there only once Citadel runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path


async def keep_roots(path: Path, roots: AsyncIterator[bytes]) -> None:
    """Write the newest of `roots` (PEM) to `path`, until cancelled: whole, or not at all. Raises `OSError`."""
    new = path.with_name(f".{path.name}.new")
    async for pem in roots:
        if pem:
            new.write_bytes(pem)
            new.replace(path)
