"""A gRPC service: `samples.Greeter/Hello` greets by name, and says which pod of which cluster did.

FAILS_EVERY=3 makes every third call fail with UNAVAILABLE. Messages are `google.protobuf.StringValue`.
"""

from __future__ import annotations

import asyncio
import itertools
import os

import grpc
from google.protobuf.wrappers_pb2 import StringValue

SERVICE = "samples.Greeter"


class Greeter:
    """Greets for one pod."""

    def __init__(self, place: str, fails_every: int) -> None:
        self._place, self._fails_every = place, fails_every
        self._calls = itertools.count(1)

    async def hello(
        self, request: StringValue, context: grpc.aio.ServicerContext[StringValue, StringValue]
    ) -> StringValue:
        """A greeting; or none, where it is this call's turn to fail."""
        if self._fails_every and next(self._calls) % self._fails_every == 0:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"not now, says {self._place}")
        return StringValue(value=f"hello {request.value}, from {self._place}")


async def serve(greeter: Greeter, port: int) -> None:
    """Answer until the process ends."""
    method = grpc.unary_unary_rpc_method_handler(
        greeter.hello, StringValue.FromString, StringValue.SerializeToString
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Hello": method}),))
    server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    where = f"{os.environ.get('HOSTNAME', '')} on {os.environ.get('NODE_NAME', '')}"
    asyncio.run(serve(Greeter(where, int(os.environ.get("FAILS_EVERY", "0"))), 9000))
