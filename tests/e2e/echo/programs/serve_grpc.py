"""A gRPC service of every shape of call: `stories.Echo`. Messages are `google.protobuf.StringValue`."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
from google.protobuf.wrappers_pb2 import StringValue

PORTS = (8082, 7082)
SERVICE = "stories.Echo"


class Echo:
    """Answers for one pod."""

    def __init__(self, pod):
        self.pod = pod
        self.seen = Counter()

    async def Unary(self, request, context):  # noqa: N802 - as methods of gRPC are called
        """The text, after the pod's name; the caller's identity is a trailer."""
        peer = dict(context.invocation_metadata()).get("x-forwarded-client-cert", "")
        context.set_trailing_metadata((("peer", str(peer)), ("pod", self.pod)))
        return _said(f"{self.pod}: {request.value}")

    async def Collect(self, requests, context):  # noqa: N802
        """All texts of the caller as one."""
        return _said(f"{self.pod}: " + "".join([each.value async for each in requests]))

    async def Split(self, request, context):  # noqa: N802
        """Each letter by itself."""
        for letter in request.value:
            yield _said(f"{self.pod}: {letter}")

    async def Chat(self, requests, context):  # noqa: N802
        """Each text answered as it comes."""
        async for each in requests:
            yield _said(f"{self.pod}: {each.value}")

    async def Flaky(self, request, context):  # noqa: N802
        """`KEY TIMES STATUS`: that status for the first calls with this key; then which attempt this was."""
        key, times, status = request.value.split()
        self.seen[key] += 1
        if self.seen[key] <= int(times):
            await context.abort(grpc.StatusCode[status], f"attempt {self.seen[key]} of {key}")
        return _said(str(self.seen[key]))

    async def Count(self, request, context):  # noqa: N802
        """How many calls with this key came to `Flaky`."""
        return _said(str(self.seen[request.value]))

    async def Slow(self, request, context):  # noqa: N802
        """An answer after so many seconds."""
        await asyncio.sleep(float(request.value))
        return _said(self.pod)


def _said(text):
    return StringValue(value=text)


def handlers(echo):
    shapes = {
        "Unary": grpc.unary_unary_rpc_method_handler,
        "Flaky": grpc.unary_unary_rpc_method_handler,
        "Count": grpc.unary_unary_rpc_method_handler,
        "Slow": grpc.unary_unary_rpc_method_handler,
        "Collect": grpc.stream_unary_rpc_method_handler,
        "Split": grpc.unary_stream_rpc_method_handler,
        "Chat": grpc.stream_stream_rpc_method_handler,
    }
    methods = {
        name: shape(getattr(echo, name), StringValue.FromString, StringValue.SerializeToString)
        for name, shape in shapes.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


async def serve(pod):
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 16 << 20)])
    server.add_generic_rpc_handlers((handlers(Echo(pod)),))
    for port in PORTS:
        server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    await server.wait_for_termination()
