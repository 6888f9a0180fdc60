"""Collectors of logs and spans, real servers on loopback: they take what Envoy sends, and remember it."""

from __future__ import annotations

import zlib
from contextlib import asynccontextmanager

import grpc
import msgspec
from aiohttp import web

from isthmus.envoy.descriptors import message_class

OTEL_TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
OTEL_LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
SKYWALKING = "/skywalking.v3.TraceSegmentReportService/collect"
ALS = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
_MESSAGES = {
    OTEL_TRACES: "opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest",
    OTEL_LOGS: "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest",
    SKYWALKING: "skywalking.v3.SegmentObject",
    ALS: "envoy.service.accesslog.v3.StreamAccessLogsMessage",
}


class Collector:
    """What came, by method or path: messages, JSON or MessagePack, each with the headers that came along."""

    def __init__(self):
        self.got = {}
        self.grpc_port = self.http_port = 0

    def of(self, where):
        return [message for message, _ in self.got.get(where, [])]

    def headers(self, where):
        return [headers for _, headers in self.got.get(where, [])]

    def _take(self, where, message, headers):
        self.got.setdefault(where, []).append((message, headers))

    def service(self, details):
        """A handler of any method: of streams, too, for one message is a short stream."""

        async def handle(messages, context):
            headers = {key.lower(): value for key, value in context.invocation_metadata()}
            async for body in messages:
                kind = _MESSAGES.get(details.method)
                self._take(details.method, message_class(kind).FromString(body) if kind else body, headers)
            return b""

        return grpc.stream_unary_rpc_method_handler(handle)

    async def answer(self, request):
        body = await request.read()
        if request.headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, 31)
        kind = request.content_type
        if kind == "application/json":
            message = msgspec.json.decode(body)
        elif kind == "application/msgpack":
            message = msgspec.msgpack.decode(body, strict=False)
        else:
            message = message_class(_MESSAGES[OTEL_TRACES]).FromString(body)
        self._take(request.path, message, {key.lower(): value for key, value in request.headers.items()})
        return web.Response()


class _Any(grpc.GenericRpcHandler):
    def __init__(self, collector):
        self._collector = collector

    def service(self, details):
        return self._collector.service(details)


@asynccontextmanager
async def collector():
    """A collector that takes every form, for as long as the block lasts."""
    found = Collector()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([_Any(found)])
    found.grpc_port = server.add_insecure_port("127.0.0.1:0")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.http_port = runner.addresses[0][1]
    await server.start()
    try:
        yield found
    finally:
        await server.stop(None)
        await runner.cleanup()
