"""A client of gRPC: `ask_grpc.py METHOD HOST:PORT [JSON]` prints what came, as JSON.

JSON: `text` (or `texts` for streams), `times` on one channel, `limit_s`, `metadata`, `max_bytes`, `at_once`.
"""

from __future__ import annotations

import asyncio
import json
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue

SHAPES = {"Collect": "stream_unary", "Split": "unary_stream", "Chat": "stream_stream"}


async def ask(method, where, asked):
    limit = asked.get("max_bytes", 4 << 20)
    options = [("grpc.max_receive_message_length", limit), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(where, options=options) as channel:
        shape = getattr(channel, SHAPES.get(method, "unary_unary"))
        call = shape(f"/stories.Echo/{method}", StringValue.SerializeToString, StringValue.FromString)
        calls = [_call(call, method, asked) for _ in range(asked.get("times", 1))]
        if asked.get("at_once"):
            return await asyncio.gather(*calls)
        return [await each for each in calls]


async def _call(call, method, asked):
    texts = [StringValue(value=each) for each in asked.get("texts", ())]
    metadata = tuple(asked.get("metadata", {}).items())
    text = StringValue(value=asked.get("text", "") or "x" * asked.get("bytes", 0))
    made = call(
        iter(texts) if method in {"Collect", "Chat"} else text,
        timeout=asked.get("limit_s", 20),
        metadata=metadata,
    )
    said = []
    try:
        if SHAPES.get(method, "").endswith("_stream"):
            said = [each.value async for each in made]
        else:
            said = [(await made).value]
    except grpc.aio.AioRpcError as error:
        return {"status": error.code().name, "details": error.details(), "said": said}
    trailers = {str(key): str(value) for key, value in await made.trailing_metadata() or ()}
    size = sum(map(len, said))
    return {"status": "OK", "said": said if size < 10_000 else [], "bytes": size, "trailers": trailers}


if __name__ == "__main__":
    name, address, *more = sys.argv[1:]
    print(json.dumps(asyncio.run(ask(name, address, json.loads(more[0]) if more else {}))))
