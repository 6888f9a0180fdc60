"""An API server on loopback that answers as a script says, for what the real one does too rarely."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from isthmus.kube.kubeconfig import Access

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedApi:
    """Gives the answers of its script one after the other, the last one for ever; notes what was asked."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.asked: list[web.Request] = []
        self.ended = asyncio.Event()
        """Set when the test is over: ends answers that would last for ever."""
        self.port = 0

    @property
    def queries(self) -> list[dict[str, str]]:
        return [dict(request.query) for request in self.asked]

    def access(self, **more) -> Access:
        return Access(server=f"http://127.0.0.1:{self.port}", **more)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.script[0] if len(self.script) == 1 else self.script.pop(0)
        return await answer(request)

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[ScriptedApi]:
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self.answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            self.ended.set()
            await runner.cleanup()

    def holds(self, *events: dict) -> Answer:
        """Streams `events`, then says nothing more and does not end."""

        async def answer(request):
            response = await _streamed(request, events)
            await self.ended.wait()
            return response

        return answer


async def _streamed(request, events):
    response = web.StreamResponse()
    await response.prepare(request)
    for event in events:
        await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
    return response


def streams(*events) -> Answer:
    """Streams `events` and ends; bytes go out as they are."""

    async def answer(request):
        return await _streamed(request, events)

    return answer


def says(body, status: int = 200) -> Answer:
    """One JSON answer."""

    async def answer(_):
        return web.json_response(body, status=status)

    return answer


def refuses(code: int, reason: str = "", message: str = "") -> Answer:
    """A Status with this code, as HTTP status too."""
    return says(status(code, reason, message), code)


def status(code: int, reason: str = "", message: str = "") -> dict:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


def pod(name: str, version: int, **labels: str) -> dict:
    meta = {"name": name, "namespace": "default", "resourceVersion": str(version), "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta}


def added(name: str, version: int, **labels: str) -> dict:
    return {"type": "ADDED", "object": pod(name, version, **labels)}


def modified(name: str, version: int, **labels: str) -> dict:
    return {"type": "MODIFIED", "object": pod(name, version, **labels)}


def deleted(name: str, version: int) -> dict:
    return {"type": "DELETED", "object": pod(name, version)}


def error(code: int, reason: str = "", message: str = "") -> dict:
    return {"type": "ERROR", "object": status(code, reason, message)}


def bookmark(version: int, *, ends_list: bool = False) -> dict:
    annotations = {"k8s.io/initial-events-end": "true"} if ends_list else {}
    meta = {"resourceVersion": str(version), "annotations": annotations}
    return {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": meta}}


def listing(version: int, *items: dict, after: str = "") -> dict:
    return {
        "kind": "PodList",
        "metadata": {"resourceVersion": str(version), "continue": after},
        "items": items,
    }
