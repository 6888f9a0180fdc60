"""The webhooks as a process: with a certificate of its own, and a port that says how it is."""

from __future__ import annotations

import asyncio
from functools import partial

from isthmus.admission.settings import WebhookSettings
from isthmus.admission.webhooks import Webhooks
from isthmus.kit.clock import SystemClock
from isthmus.kit.metrics import exposition
from isthmus.kit.plain_http import HttpServer, Request, Response
from isthmus.kit.tasks import keep_trying
from isthmus.kit.watchable import Watchable
from isthmus.kube import log_levels
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import Access
from isthmus.kube.log_levels import FollowedLevels
from isthmus.sidecar.certs import CertSettings, Held
from isthmus.sidecar.source import certificate_source


async def run_injector(
    settings: WebhookSettings, certificate: CertSettings, monitoring_port: int, own: Access
) -> None:
    """Serve until cancelled. Raises `OSError` where a port is taken."""
    clock = SystemClock()
    async with asyncio.TaskGroup() as group:
        held: Watchable[Held | None] = Watchable(None)
        if not settings.certificate_dir:
            source = certificate_source(certificate, clock)
            held = source.held
            group.create_task(source.run())
        webhooks, levels = Webhooks(settings, held, clock), FollowedLevels()
        group.create_task(webhooks.run(own))
        group.create_task(keep_trying("log levels", partial(_follow, levels, own, settings.namespace)))
        monitor = Monitor(webhooks, levels)
        group.create_task(HttpServer(settings.address, monitoring_port, monitor.answer).run())


async def _follow(levels: FollowedLevels, own: Access, namespace: str) -> None:
    async with Client(own) as client:
        await levels.run(client, namespace)


class Monitor:
    """Says whether API servers can be answered, and how often they were."""

    def __init__(self, webhooks: Webhooks, levels: FollowedLevels) -> None:
        self._webhooks, self._levels = webhooks, levels

    async def answer(self, request: Request) -> Response:
        """The answer to one request."""
        match request.path.partition("?")[0]:
            case "/metrics":
                return Response(body=exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")
            case log_levels.PAGE:
                return self._levels.answer(request)
            case "/live":
                return Response(body=b"live\n")
            case "/ready":
                trouble = self._webhooks.trouble
                return Response(503, f"{trouble}\n".encode()) if trouble else Response(body=b"ready\n")
            case _:
                return Response(404, f"there are /metrics, /ready, /live and {log_levels.PAGE}\n".encode())
