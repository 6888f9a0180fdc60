"""A real Envoy that starts by itself, for as long as a block lasts. The tests have it, too."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from isthmus.console.static_bootstrap import as_json
from isthmus.envoy.binary import envoy_executable
from isthmus.envoy.types import Bootstrap
from isthmus.translate import proto

LIMIT_S = 30.0


@contextmanager
def running(folder: Path, bootstrap: Bootstrap, name: str = "envoy") -> Iterator[str]:
    """An Envoy of one thread with this bootstrap, once it is ready; yields where its admin page is.

    Its files are `NAME.*` in `folder`. Raises `RuntimeError`, with its log, where it does not start.
    """
    bootstrap.node.id = bootstrap.node.cluster = name
    bootstrap.admin.address.CopyFrom(proto.address("127.0.0.1", 0))
    place, written, log = (folder / f"{name}.{each}" for each in ("admin", "json", "log"))
    place.unlink(missing_ok=True)
    written.write_text(as_json(bootstrap))
    with log.open("wb") as said:
        process = subprocess.Popen(
            [
                str(envoy_executable()),
                *("-c", str(written), "--admin-address-path", str(place)),
                *("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"),
            ],
            stdout=said,
            stderr=said,
        )
    try:
        limit = time.monotonic() + LIMIT_S
        while not _is_ready(place):
            if process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"Envoy is not ready: {log.read_text()}")
            time.sleep(0.02)
        yield place.read_text().strip()
    finally:
        process.kill()
        process.wait()


def _is_ready(place: Path) -> bool:
    admin = place.read_text().strip() if place.exists() else ""
    with suppress(OSError):
        if admin:
            with urlopen(f"http://{admin}/ready") as reply:
                return b"LIVE" in reply.read()
    return False
