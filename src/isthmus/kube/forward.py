"""A port of this machine that leads to a pod's, through the API server: as `kubectl port-forward` does."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp

from isthmus.api.resource import Kind, Object
from isthmus.kit.log import log
from isthmus.kit.tasks import supervise
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import KubeError

_PODS = Kind("", ("v1",), "Pod", "pods", Object)
_PROTOCOLS = ("v4.channel.k8s.io",)
_DATA = 0
_PORT_BYTES = 2  # with which each channel begins
_AT_ONCE = 1 << 16


class Forward:
    """Serves connections until cancelled; each is led to the pod by a WebSocket of its own."""

    def __init__(self, client: Client, namespace: str, pod: str, port: int) -> None:
        self._client, self._port = client, port
        self._path = path_of(_PODS, namespace, pod, "portforward")
        self._where = f"{namespace}/{pod}:{port}"

    async def listen(self, address: str, port: int) -> asyncio.Server:
        """The server, which listens already; port 0: any that is free. Raises `OSError`."""
        return await asyncio.start_server(self._serve, address, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            socket = await self._client.websocket(self._path, [("ports", str(self._port))], _PROTOCOLS)
        except KubeError as error:
            log.warning("not led on", to=self._where, error=str(error))
            writer.close()
            return
        try:
            # A caller that has said all may still be answered: only the pod's end ends both.
            async with supervise(_there(reader, socket)):
                await _back(socket, writer)
        except (ConnectionError, TimeoutError) as error:
            log.debug("led on no more", to=self._where, error=str(error))
        finally:
            await socket.close()
            writer.close()


async def _there(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    with suppress(ConnectionError):  # the pod's end has gone first
        while data := await reader.read(_AT_ONCE):
            await socket.send_bytes(bytes([_DATA]) + data)


async def _back(socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    begun: set[int] = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, rest = message.data[0], message.data[1:]
        if channel not in begun:
            begun.add(channel)
            rest = rest[_PORT_BYTES:]
        if channel == _DATA:
            writer.write(rest)
            await writer.drain()
        elif rest:
            return
