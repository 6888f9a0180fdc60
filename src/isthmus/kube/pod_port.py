"""A port of a pod as the API server leads to it: a WebSocket with a channel for data and one for errors.

Source: Kubernetes, `v4.channel.k8s.io` of `pods/portforward`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from isthmus.api.resource import Kind, Object
from isthmus.kube.client import Client, path_of

DATA = 0
"""The channel of what is said at the port; of any other the words are an error."""
_PODS = Kind("", ("v1",), "Pod", "pods", Object)
_PROTOCOLS = ("v4.channel.k8s.io",)
_PORT_BYTES = 2  # with which each channel begins


async def connect(client: Client, namespace: str, pod: str, port: int) -> aiohttp.ClientWebSocketResponse:
    """A connection to the port, on loopback of the pod. Raises `KubeError`."""
    path = path_of(_PODS, namespace, pod, "portforward")
    return await client.websocket(path, [("ports", str(port))], _PROTOCOLS)


async def send(socket: aiohttp.ClientWebSocketResponse, words: bytes) -> None:
    """Say `words` at the port. Raises `ConnectionError` where the connection has ended."""
    await socket.send_bytes(bytes([DATA]) + words)


async def heard(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[tuple[int, bytes]]:
    """What comes, each with its channel, without the number of the port with which a channel begins."""
    begun: set[int] = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, words = message.data[0], message.data[1:]
        if channel not in begun:
            begun.add(channel)
            words = words[_PORT_BYTES:]
        yield channel, words
