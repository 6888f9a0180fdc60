"""Envoys whose agents take what a Workload API gives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.eventually import eventually
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import fetch
from isthmus.kit.tasks import supervise
from isthmus.model.identity import SpiffeId
from isthmus.sidecar import sds
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings
from isthmus.sidecar.workload_api import Svids, SvidSettings
from isthmus.wire.listeners import Unix
from isthmus.wire.serve import GrpcServer


@asynccontextmanager
async def svid_envoy(
    place: Path, identity: SpiffeId, socket: str, config: dict[str, Any], admin: int
) -> AsyncIterator[Svids]:
    """An Envoy with `config` that is `identity` by the word of the Workload API at `socket`."""
    _write(place, config)
    clock = SystemClock()
    svids = Svids(SvidSettings(identity=identity, socket=socket, longest_wait_s=1.0), clock)
    server = GrpcServer(sds.services(svids.held, clock), [Unix(str(place / "sds.sock"))])
    envoy = ProxyProcess(ProxySettings(log_level="error", concurrency=1), place / "envoy.json", clock)
    async with supervise(svids.run(), server.run()):
        await server.addresses()
        async with supervise(envoy.run()):

            async def live() -> bool:
                try:
                    return (await fetch("GET", admin, "/ready")).body.strip() == b"LIVE"
                except OSError:
                    return False

            await eventually(live)
            yield svids


def _write(place: Path, config: dict[str, Any]) -> None:
    place.mkdir(exist_ok=True)
    (place / "envoy.json").write_text(json.dumps(config))
