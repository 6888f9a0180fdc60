"""Spans and logs of a real Envoy come to real collectors, in each form, under the names that Istio gives."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aiohttp
import pytest

from fakes.bookinfo import objects
from fakes.collectors import ALS, OTEL_LOGS, OTEL_TRACES, SKYWALKING, collector
from fakes.edge import Pilot, tls_gateway
from fakes.ports import free_ports
from fakes.running_envoy import echo

HOST = "shop.example.com"
NODE = "a.books"
"""The cluster of Envoy's node: the agent names it by the workload."""
AGENT = {
    "OTEL_RESOURCE_ATTRIBUTES": "service.name=ingress.istio-system",
    "ISTIO_META_CANONICAL_SERVICE": "ingress",
    "ISTIO_META_CLUSTER_ID": "gke",
    "POD_NAMESPACE": "istio-system",
}
"""What the agent puts into Envoy's environment."""


def entry(name, port, protocol):
    """A service of the mesh at a port of loopback."""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example.com]
  ports: [{{number: 80, name: {protocol.lower()}, protocol: {protocol}, targetPort: {port}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
"""


def settings(use, form, at, said):
    """Settings by which logs or spans (`use`) go to the collector in a form, `said` being what else it is told."""
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    extensionProviders: [{{name: told, {form}: {{service: {at}.example.com, port: 80, {said}}}}}]
    defaultProviders: {{{use}: [told]}}
    defaultConfig: {{tracing: {{sampling: 100, customTags: {{shop: {{literal: {{value: "yes"}}}}}}}}}}
"""


ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http: [{route: [{destination: {host: application.example.com, port: {number: 80}}}]}]
  tcp: [{route: [{destination: {host: application.example.com, port: {number: 80}}}]}]
"""


class World:
    """An Envoy at the edge, an application behind it, and a collector."""

    def __init__(self, pilot, found, ports):
        self._pilot, self.collector, (self._port, self._bytes_port) = pilot, found, ports

    async def report(self, where, use, provider, *, of_bytes=False):
        """The first thing that comes to the collector at `where` by these settings, and the headers with it.

        `of_bytes`: where the application is called over a port of TCP.
        """
        self._pilot.step(*objects(gke=[settings(use, *provider)]))
        async with aiohttp.ClientSession() as http, asyncio.timeout(40):
            while not self.collector.of(where):
                # A tracer sends when it has five spans; the newest settings may still be on their way.
                for _ in range(6):
                    await (self._connect() if of_bytes else self._ask(http))
                await asyncio.sleep(0.2)
        return self.collector.of(where)[0], self.collector.headers(where)[0]

    async def _ask(self, http):
        headers = {"host": HOST, "x-forwarded-proto": "http", "user-agent": "us"}
        try:
            async with http.get(f"http://127.0.0.1:{self._port}/cart?a=b", headers=headers) as reply:
                await reply.read()
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)

    async def _connect(self):
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._bytes_port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            await reader.read()
            writer.close()


@pytest.fixture
async def world(tmp_path, monkeypatch):
    for name, value in AGENT.items():
        monkeypatch.setenv(name, value)
    pilot, ports = Pilot(), free_ports(2)
    servers = [
        f"{{port: {{number: {port}, name: {name}, protocol: {name.upper()}}}, hosts: [{host}], bind: 127.0.0.1}}"
        for port, name, host in zip(ports, ("http", "tcp"), (HOST, '"*"'), strict=True)
    ]
    with echo() as application:
        async with collector() as found:
            entries = (
                entry("application", application, "HTTP"),
                entry("grpc", found.grpc_port, "GRPC"),
                entry("http", found.http_port, "HTTP"),
            )
            pilot.step(*objects(gke=[*entries, tls_gateway("edge", *servers), ROUTE]))
            async with pilot.envoy(tmp_path):
                yield World(pilot, found, ports)


def texts(attributes):
    return {each.key: each.value.string_value for each in attributes}


ISTIO = {
    "istio.canonical_service": "ingress",
    "istio.canonical_revision": "latest",
    "istio.namespace": "istio-system",
    "istio.cluster_id": "gke",
    "shop": "yes",
}
"""Tags that each span must have, whatever its form."""


def check_otel(message):
    (resource,) = message.resource_spans
    assert texts(resource.resource.attributes)["service.name"] == "ingress.istio-system"
    span = resource.scope_spans[0].spans[0]
    tags = texts(span.attributes)
    assert tags.items() >= ISTIO.items()
    assert (tags["http.method"], tags["http.status_code"]) == ("GET", "200")
    assert tags["http.url"] == f"http://{HOST}/cart?a=b"
    assert span.name == "application.example.com:80/*"


async def test_opentelemetry_by_grpc(world):
    said = "grpc: {initialMetadata: [{name: x-token, value: secret}]}"
    message, headers = await world.report(OTEL_TRACES, "tracing", ("opentelemetry", "grpc", said))
    assert headers["x-token"] == "secret"
    check_otel(message)


async def test_opentelemetry_by_http(world):
    said = "http: {path: /own/traces, headers: [{name: x-token, value: secret}]}"
    message, headers = await world.report("/own/traces", "tracing", ("opentelemetry", "http", said))
    assert (headers["x-token"], headers["host"]) == ("secret", "http.example.com:80")
    check_otel(message)


async def test_zipkin(world):
    spans, headers = await world.report("/api/v2/spans", "tracing", ("zipkin", "http", ""))
    assert headers["host"] == "http.example.com:80"
    assert spans[0]["tags"].items() >= ISTIO.items()
    assert spans[0]["name"] == "application.example.com:80/*"
    assert len(spans[0]["traceId"]) == 32
    assert spans[0]["localEndpoint"]["serviceName"] == NODE


async def test_datadog(world):
    traces, _ = await world.report("/v0.4/traces", "tracing", ("datadog", "http", ""))
    span = traces[0][0]
    assert span["meta"].items() >= ISTIO.items()
    assert (span["service"], span["resource"]) == ("istio-proxy.istio-system", "application.example.com:80/*")


async def test_skywalking(world):
    said = "accessToken: secret"
    segment, headers = await world.report(SKYWALKING, "tracing", ("skywalking", "grpc", said))
    assert headers["authentication"] == "secret"
    assert segment.service == NODE
    tags = {each.key: each.value for each in segment.spans[0].tags}
    assert tags.items() >= ISTIO.items()


async def test_envoys_access_log_service(world):
    said = "logName: calls, additionalRequestHeadersToLog: [x-forwarded-proto]"
    message, _ = await world.report(ALS, "accessLogging", ("envoyHttpAls", "grpc", said))
    assert message.identifier.log_name == "calls"
    entry = message.http_logs.log_entry[0]
    assert (entry.request.authority, entry.request.path) == (HOST, "/cart?a=b")
    assert entry.request.request_headers["x-forwarded-proto"] == "http"
    assert entry.common_properties.upstream_cluster == "outbound|80||application.example.com"
    assert entry.response.response_code.value == 200


async def test_envoys_access_log_service_of_connections(world):
    said = ("envoyTcpAls", "grpc", "logName: connections")
    message, _ = await world.report(ALS, "accessLogging", said, of_bytes=True)
    assert message.identifier.log_name == "connections"
    assert not message.http_logs.log_entry
    entry = message.tcp_logs.log_entry[0]
    assert entry.common_properties.upstream_cluster == "outbound|80||application.example.com"
    assert entry.connection_properties.received_bytes == len(b"GET / HTTP/1.0\r\n\r\n")


async def test_logs_of_opentelemetry(world):
    said = "logName: calls, logFormat: {text: '%REQ(:PATH)%', labels: {code: '%RESPONSE_CODE%'}}"
    message, _ = await world.report(OTEL_LOGS, "accessLogging", ("envoyOtelAls", "grpc", said))
    resource = texts(message.resource_logs[0].resource.attributes)
    record = message.resource_logs[0].scope_logs[0].log_records[0]
    assert record.body.string_value == "/cart?a=b"
    assert texts(record.attributes)["code"] == "200"
    assert resource["log_name"] == "calls"
