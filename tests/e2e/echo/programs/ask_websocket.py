"""A client of WebSocket and of server-sent events: `ask_websocket.py WHAT URL [JSON]` prints what came, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp


async def talk(session, url, asked):
    """The answers to `texts`, one every `pause_s` seconds, to a ping, and to bytes; then how it was closed."""
    said = []
    async with session.ws_connect(url, heartbeat=asked.get("heartbeat_s")) as socket:
        for text in asked["texts"]:
            await socket.send_str(text)
            said.append(await socket.receive_str(timeout=20))
            await asyncio.sleep(asked.get("pause_s", 0))
        await socket.ping(b"are you there")
        await socket.send_bytes(b"\x00\xff" * 40_000)
        back = await socket.receive_bytes(timeout=20)
        await socket.send_str(f"close {asked.get('code', 1000)}")
        end = await socket.receive(timeout=20)
        return {"said": said, "bytes": len(back), "end": end.type.name, "code": socket.close_code}


async def events(session, url, asked):
    """The data of each event."""
    async with session.get(url) as answer:
        lines = [line.decode().strip() async for line in answer.content]
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return {"type": answer.content_type, "data": data}


async def main(what, url, asked):
    limit = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=limit) as session:
        return await {"talk": talk, "events": events}[what](session, url, asked)


if __name__ == "__main__":
    kind, where, *more = sys.argv[1:]
    print(json.dumps(asyncio.run(main(kind, where, json.loads(more[0]) if more else {}))))
