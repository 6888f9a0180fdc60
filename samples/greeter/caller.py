"""Calls the greeter for ever, by one and the same connection, and writes what it heard: four lines a second."""

from __future__ import annotations

import asyncio
import os
import sys

import grpc
from google.protobuf.wrappers_pb2 import StringValue


async def call(address: str) -> None:
    """Greet, and be greeted."""
    # Retries are left to the mesh.
    async with grpc.aio.insecure_channel(address, options=[("grpc.enable_retries", 0)]) as channel:
        hello = channel.unary_unary(
            "/samples.Greeter/Hello", StringValue.SerializeToString, StringValue.FromString
        )
        while True:
            try:
                said = (await hello(StringValue(value="mesh"), timeout=2)).value
            except grpc.aio.AioRpcError as error:
                said = f"{error.code().name}: {error.details()}"
            sys.stdout.write(f"{said}\n")
            await asyncio.sleep(0.25)


if __name__ == "__main__":
    asyncio.run(call(os.environ.get("GREETER", "greeter:9000")))
