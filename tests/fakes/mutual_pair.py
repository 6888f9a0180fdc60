"""Two Envoys that talk mutual TLS with what their agents' SDS gives them: one calls, one is called."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.citadel import LoopbackCitadel
from fakes.eventually import eventually
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import Request, Response, fetch
from isthmus.kit.tasks import supervise
from isthmus.sidecar import sds
from isthmus.sidecar.believed import Believed
from isthmus.sidecar.certs import Certificates
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings
from isthmus.wire.listeners import Unix
from isthmus.wire.serve import GrpcServer

LIFETIME_S = 600.0


def write(path: Path, text: str) -> None:
    path.write_text(text)


@asynccontextmanager
async def proxy(
    citadel: LoopbackCitadel,
    account: str,
    place: Path,
    config: dict,
    admin: int,
    believed: Believed | None = None,
) -> AsyncIterator[Certificates]:
    """An Envoy with the certificate of `account`, live, and what renews it."""
    certificates = Certificates(citadel.workload(account, place, LIFETIME_S))
    write(place / "envoy.json", json.dumps(config))
    clock = SystemClock()
    server = GrpcServer(
        sds.services(certificates.held, clock, believed=believed), [Unix(str(place / "sds.sock"))]
    )
    envoy = ProxyProcess(ProxySettings(log_level="error", concurrency=1), place / "envoy.json", clock)
    async with supervise(certificates.run(), server.run()):
        await server.addresses()
        async with supervise(envoy.run()):
            await eventually(lambda: live(admin))
            yield certificates


async def live(admin: int) -> bool:
    try:
        return (await fetch("GET", admin, "/ready")).status == 200
    except OSError:
        return False


async def hello(request: Request) -> Response:
    return Response(body=b"hello\n")
