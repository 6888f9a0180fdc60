"""A port of this machine that leads to a pod's, through the API server: as `kubectl port-forward` does."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from isthmus.kit.scopes import kube as log
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError
from isthmus.kube.pod_port import DATA, connect, heard, send

_AT_ONCE = 1 << 16


class Forward:
    """Serves connections until cancelled; each is led to the pod by a WebSocket of its own."""

    def __init__(self, client: Client, namespace: str, pod: str, port: int) -> None:
        self._client, self._namespace, self._pod, self._port = client, namespace, pod, port
        self._where = f"{namespace}/{pod}:{port}"

    async def listen(self, address: str, port: int) -> asyncio.Server:
        """The server, which listens already; port 0: any that is free. Raises `OSError`."""
        return await asyncio.start_server(self._serve, address, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            socket = await connect(self._client, self._namespace, self._pod, self._port)
        except KubeError as error:
            log.warning("not led on", to=self._where, error=str(error))
            writer.close()
            return
        try:
            # A caller that has said all may still be answered: only the pod's end ends both.
            async with supervise(_there(reader, socket)):
                why = await _back(socket, writer)
            if why:
                log.warning("not led on", to=self._where, error=why)
        except (ConnectionError, TimeoutError) as error:
            log.debug("led on no more", to=self._where, error=str(error))
        finally:
            await socket.close()
            writer.close()


async def _there(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    with suppress(ConnectionError):  # the pod's end has gone first
        while data := await reader.read(_AT_ONCE):
            await send(socket, data)


async def _back(socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> str:
    """Why the API server leads there no more; empty where the pod has said all."""
    async for channel, words in heard(socket):
        if channel == DATA:
            writer.write(words)
            await writer.drain()
        elif words:
            return words.decode(errors="replace").strip()
    return ""
