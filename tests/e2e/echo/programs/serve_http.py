"""HTTP/1.1, HTTP/2 in plain text, WebSocket and server-sent events, all as one ASGI application."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from urllib.parse import parse_qs

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config

PORTS = (8080, 8081, 7080, 7081)
TRAILERS = 8085


class Application:
    """Answers for one pod; `/flaky` and `/count` remember what was asked before."""

    def __init__(self, pod):
        self.pod = pod
        self.seen = Counter()
        self.sick = False

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(receive, send)
        else:
            asked = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
            name = scope["path"].strip("/") or "who"
            await getattr(self, f"_{name}")(scope, receive, send, asked)

    async def _who(self, scope, receive, send, asked):
        """Who answers, and what came: method, version, headers, and the length and digest of the body."""
        body = await _body(receive)
        if self.sick:
            return await self._json(send, {}, 503)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        await self._json(
            send,
            {
                "method": scope["method"],
                "version": scope["http_version"],
                "path": scope["path"],
                "headers": headers,
                "peer": headers.get("x-forwarded-client-cert", ""),
                "bytes": len(body),
                "digest": hashlib.sha256(body).hexdigest(),
            },
        )
        return None

    async def _sicken(self, scope, receive, send, asked):
        """From now on this pod answers `/who` with 503."""
        self.sick = True
        await self._json(send, {})

    async def _cure(self, scope, receive, send, asked):
        """It answers again."""
        self.sick = False
        await self._json(send, {})

    async def _big(self, scope, receive, send, asked):
        """A body of so many `bytes`, with its length."""
        length = int(asked["bytes"])
        await _start(send, 200, ("content-length", str(length)))
        for begin in range(0, length, 65536):
            await _part(send, b"x" * min(65536, length - begin), more=begin + 65536 < length)

    async def _chunks(self, scope, receive, send, asked):
        """Three chunks, the last of which comes only after a while."""
        await _start(send, 200)
        for number in range(3):
            await _part(send, f"chunk {number}\n".encode(), more=True)
            await asyncio.sleep(0.05)
        await _part(send, b"", more=False)

    async def _trailers(self, scope, receive, send, asked):
        """A body with a trailer after it."""
        start = {"type": "http.response.start", "status": 200, "headers": [], "trailers": True}
        await send(start)
        await _part(send, b"before", more=False)
        trailers = [(b"x-digest", b"after")]
        await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})

    async def _events(self, scope, receive, send, asked):
        """Server-sent events, one every tenth of a second, until the caller goes or `count` are sent."""
        await _start(send, 200, ("content-type", "text/event-stream"))
        for number in range(int(asked["count"])):
            await _part(send, f"id: {number}\ndata: {self.pod}\n\n".encode(), more=True)
            await asyncio.sleep(0.1)
        await _part(send, b"", more=False)

    async def _flaky(self, scope, receive, send, asked):
        """The `status` for the first `fails` requests with this `key`; then 200 and which attempt this was."""
        self.seen[asked["key"]] += 1
        tries = self.seen[asked["key"]]
        if "slow" in asked and tries <= int(asked["fails"]):
            await asyncio.sleep(float(asked["slow"]))
        status = int(asked.get("status", 200)) if tries <= int(asked["fails"]) else 200
        await self._json(send, {"tries": tries}, status)

    async def _count(self, scope, receive, send, asked):
        """How many requests with this `key` came to `/flaky`."""
        await self._json(send, {"count": self.seen[asked["key"]]})

    async def _slow(self, scope, receive, send, asked):
        """An answer after `seconds`."""
        await asyncio.sleep(float(asked["seconds"]))
        await self._json(send, {})

    async def _websocket(self, receive, send):
        """Says every text again, with the pod's name; `close 4001` closes with that code."""
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("bytes") is not None:
                await send({"type": "websocket.send", "bytes": message["bytes"]})
            elif message["text"].startswith("close "):
                await send({"type": "websocket.close", "code": int(message["text"].split()[1])})
                return
            else:
                await send({"type": "websocket.send", "text": f"{self.pod}: {message['text']}"})

    async def _json(self, send, value, status=200):
        body = json.dumps({"pod": self.pod, **value}).encode()
        await _start(send, status, ("content-type", "application/json"), ("content-length", str(len(body))))
        await _part(send, body, more=False)


async def _body(receive):
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def _start(send, status, *headers):
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def _part(send, body, *, more):
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _lifespan(receive, send):
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


async def _chunk(reader):
    """The next chunk of a body; nothing after the last one."""
    length = int(await reader.readline(), 16)
    part = await reader.readexactly(length)
    if length:
        await reader.readline()
    return part


async def _fields(reader):
    """The lines of a head or of trailers, as far as the empty one."""
    lines = []
    while line := (await reader.readline()).decode().strip():
        lines.append(line)
    return lines


async def _trailed(reader, writer):
    """Says body and trailers, and adds a trailer: by hand, as the library knows none of HTTP/1.1."""
    await _fields(reader)
    parts = []
    while part := await _chunk(reader):
        parts.append(part.decode())
    body = json.dumps({"body": "".join(parts), "trailers": await _fields(reader)}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-digest\r\n\r\n")
    writer.write(b"%x\r\n%b\r\n0\r\nx-digest: after\r\n\r\n" % (len(body), body))
    await writer.drain()
    writer.close()


async def serve(pod):
    await asyncio.start_server(_trailed, "0.0.0.0", TRAILERS)
    config = Config()
    config.bind = [f"0.0.0.0:{port}" for port in PORTS]
    config.keep_alive_timeout = 600
    config.websocket_ping_interval = None
    await serve_asgi(Application(pod), config)
