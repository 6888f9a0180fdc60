"""The real Envoy between a caller and a service of HTTP/1.1: what `proxyHeaders` makes of the headers that both see."""

from __future__ import annotations

import asyncio

import pytest

from fakes.loopback_mesh import calling_reviews
from fakes.ports import free_ports

CASE = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: "defaultConfig: {{proxyHeaders: {headers}}}"}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews}}
spec:
  hosts: [reviews]
  http:
  - rewrite: {{authority: other}}
    retries: {{attempts: 1, retryOn: "5xx", backoff: 1ms}}
    route: [{{destination: {{host: reviews}}}}]
"""


def serving(failures):
    """A server that answers with the head that it got, and a header of its own, after that many failures."""
    left = [failures]

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        status = b"503 Service Unavailable" if left[0] else b"200 OK"
        left[0] = max(0, left[0] - 1)
        writer.write(
            b"HTTP/1.1 %s\r\nX-AnsWer: 1\r\ncontent-length: %d\r\n\r\n%s" % (status, len(head), head)
        )
        await writer.drain()
        writer.close()

    return serve


async def exchanged(headers, folder, failures=0):
    """The heads of the answer that a caller gets, and of the request as the service sees it last."""
    http, target = free_ports(2)
    server = await asyncio.start_server(serving(failures), "127.0.0.11", target)
    try:
        async with calling_reviews(CASE.format(headers=headers), target, {"http": http}, folder):
            reader, writer = await asyncio.open_connection("127.0.0.1", http)
            writer.write(
                f"GET / HTTP/1.1\r\nhost: reviews:{http}\r\nX-Asks: 1\r\nconnection: close\r\n\r\n".encode()
            )
            answer = (await reader.read()).decode()
            writer.close()
    finally:
        server.close()
    head, _, seen = answer.partition("\r\n\r\n")
    return head, seen


@pytest.mark.parametrize(
    ("keeps", "asked", "answered"), [("true", "X-Asks", "X-AnsWer"), ("false", "x-asks", "x-answer")]
)
async def test_headers_keep_their_case_both_ways_where_that_is_asked_for(keeps, asked, answered, tmp_path):
    head, seen = await exchanged(f"{{preserveHttp1HeaderCase: {keeps}}}", tmp_path)
    assert f"\r\n{answered}: 1" in head and f"\r\n{asked}: 1" in seen


@pytest.mark.parametrize("failures", [0, 1])
async def test_requests_say_which_attempt_they_are(failures, tmp_path):
    _, seen = await exchanged("{}", tmp_path, failures)
    assert f"\r\nx-envoy-attempt-count: {failures + 1}\r\n" in seen
    assert "x-forwarded-host" not in seen


async def test_a_proxy_tells_the_host_before_the_rule_and_no_attempts_where_it_is_asked_to(tmp_path):
    headers = "{attemptCount: {disabled: true}, xForwardedHost: {enabled: true}}"
    _, seen = await exchanged(headers, tmp_path)
    assert "x-envoy-attempt-count" not in seen
    assert "\r\nhost: other\r\n" in seen and "\r\nx-forwarded-host: reviews:" in seen
