"""The real Envoy between a caller and a service of HTTP/1.1: how both see each other's headers written."""

from __future__ import annotations

import asyncio

import pytest

from fakes.loopback_mesh import calling_reviews
from fakes.ports import free_ports

SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: "defaultConfig: {{proxyHeaders: {{preserveHttp1HeaderCase: {keeps}}}}}"}}
"""


async def serve(reader, writer):
    """Answers with the head that it got, and a header of its own."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nX-AnsWer: 1\r\ncontent-length: %d\r\n\r\n%s" % (len(head), head))
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("keeps", "asked", "answered"), [("true", "X-Asks", "X-AnsWer"), ("false", "x-asks", "x-answer")]
)
async def test_headers_keep_their_case_both_ways_where_that_is_asked_for(keeps, asked, answered, tmp_path):
    http, target = free_ports(2)
    server = await asyncio.start_server(serve, "127.0.0.11", target)
    async with server, calling_reviews(SETTINGS.format(keeps=keeps), target, {"http": http}, tmp_path):
        reader, writer = await asyncio.open_connection("127.0.0.1", http)
        writer.write(
            f"GET / HTTP/1.1\r\nhost: reviews:{http}\r\nX-Asks: 1\r\nconnection: close\r\n\r\n".encode()
        )
        answer = (await reader.read()).decode()
        writer.close()
    head, _, seen = answer.partition("\r\n\r\n")
    assert f"\r\n{answered}: 1" in head and f"\r\n{asked}: 1" in seen
