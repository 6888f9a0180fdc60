"""The user's side of `pods/portforward` over WebSocket, `v4.channel.k8s.io`: a channel for data and one for errors.

The first message of each says the port. Source: Kubernetes' kubelet, `portforward/websocket.go`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import WSMsgType, web

from isthmus.kit.tasks import supervise
from isthmus.lab.apiserver.errors import ApiError, bad_request
from isthmus.lab.apiserver.nodes import NodeError, Nodes

PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_CHUNK = 1 << 16
_PATIENCE_S = 5.0


def speaks(request: web.Request) -> bool:
    """Whether it is spoken; kubectl speaks SPDY, within a WebSocket or without, see `far_spdy`."""
    asked = request.headers.get("Sec-WebSocket-Protocol", "")
    return PROTOCOL in {each.strip() for each in asked.split(",")}


def port_of(request: web.Request, named: str) -> int:
    """The one port that is asked for. Raises `ApiError` (400)."""
    asked = ",".join(request.query.getall(named, []))
    if not asked.isdecimal() or not 0 < int(asked) < 1 << 16:
        raise bad_request(f'query parameter "{named}" must be one port here, and is {asked!r}')
    return int(asked)


async def forward(
    request: web.Request, nodes: Nodes, place: tuple[str, str], named: str = "ports"
) -> web.StreamResponse:
    """A connection to the port on loopback of the pod `place`, for as long as both sides keep it.

    `named`: the parameter that says which port; API servers ask kubelets by another than they are asked by.
    """
    port = port_of(request, named)
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), timeout=_PATIENCE_S, max_msg_size=0)
    await socket.prepare(request)
    for channel in (_DATA, _ERROR):
        await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
    try:
        reader, writer = await nodes.forward(*place, port)
    except (NodeError, OSError) as error:
        await socket.send_bytes(bytes([_ERROR]) + f"an error occurred forwarding {port}: {error}".encode())
        await socket.close()
        return socket
    try:
        async with supervise(_tell(reader, socket)):
            await _hear(socket, writer)
    finally:
        writer.close()
    return socket


async def _hear(socket: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the pod's side is gone
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data[:1] == bytes([_DATA]):
                writer.write(message.data[1:])
                await writer.drain()


async def _tell(reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            await socket.send_bytes(bytes([_DATA]) + data)
    await socket.close()


def refused(place: tuple[str, str]) -> ApiError:
    """Why nothing is forwarded, and what works."""
    namespace, pod = place
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}:PORT/proxy/"
    words = (
        f"port-forward works over SPDY, or over WebSocket with {PROTOCOL} (hint: kubectl get --raw {path})"
    )
    return bad_request(words)
