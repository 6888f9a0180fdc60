"""The real Envoy as the HTTP proxy of an application that is not captured: it names hosts, and gets there."""

from __future__ import annotations

import asyncio

import pytest

from fakes.loopback_mesh import calling_reviews
from fakes.ports import free_ports

SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: "{{proxyHttpPort: {proxy}, outboundTrafficPolicy: {{mode: {mode}}}}}"}}
"""


@pytest.fixture(params=["ALLOW_ANY", "REGISTRY_ONLY"])
async def proxied(request, tmp_path):
    """The ports of the proxy, of the service and of what answers; and whether unknown hosts are let through."""
    proxy, http, tcp, target = free_ports(4)
    settings = SETTINGS.format(proxy=proxy, mode=request.param)
    first, second = [await asyncio.start_server(echo, at, target) for at in ("127.0.0.11", "127.0.0.13")]
    async with first, second, calling_reviews(settings, target, {"http": http, "tcp": tcp}, tmp_path):
        yield (proxy, http, tcp, target), request.param == "ALLOW_ANY"


async def echo(reader, writer):
    """Answers with where it is, and the first line that it was sent."""
    line = (await reader.readline()).decode().strip()
    said = f"{writer.get_extra_info('sockname')[0]} got {line}".encode()
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))
    await writer.drain()
    writer.close()


async def asked(port, *parts):
    """All that comes back when these parts are sent one after the other, each after an answer to the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for part in parts:
        writer.write(part.encode())
        answers.append(await (reader.read() if part is parts[-1] else reader.readuntil(b"\r\n\r\n")))
    writer.close()
    return "".join(each.decode() for each in answers)


def request(line, host):
    return f"{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"


async def test_an_absolute_url_leads_to_the_service_that_it_names(proxied):
    (proxy, http, *_), _ = proxied
    answer = await asked(proxy, request(f"GET http://reviews:{http}/x", f"reviews:{http}"))
    assert answer.startswith("HTTP/1.1 200") and answer.endswith("127.0.0.11 got GET /x HTTP/1.1")


async def test_connect_leads_bytes_to_the_port_that_it_names(proxied):
    (proxy, http, tcp, _), _ = proxied
    for port in (http, tcp):
        opened = f"CONNECT reviews:{port} HTTP/1.1\r\nhost: reviews:{port}\r\n\r\n"
        answer = await asked(proxy, opened, "any bytes\r\n")
        assert answer.startswith("HTTP/1.1 200") and answer.endswith("127.0.0.11 got any bytes")


MUTUAL = """
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
"""


@pytest.mark.parametrize(
    ("name", "offered"), [("http", b"istio-http/1.1"), ("tcp", b"istio-peer"), ("any", b"istio-peer")]
)
async def test_what_connect_leads_is_http_to_sidecars_only_where_the_port_is(name, offered, tmp_path):
    proxy, port, target = free_ports(3)
    hellos = []

    async def note(reader, writer):
        hellos.append(await reader.read(4096))
        writer.close()

    settings = SETTINGS.format(proxy=proxy, mode="ALLOW_ANY") + MUTUAL
    async with (
        await asyncio.start_server(note, "127.0.0.11", target),
        calling_reviews(settings, target, {name: port}, tmp_path),
    ):
        await asked(proxy, f"CONNECT reviews:{port} HTTP/1.1\r\nhost: reviews:{port}\r\n\r\n")
    assert offered in hellos[0] and (b"http" in hellos[0]) == (name == "http")


async def test_a_host_that_nobody_knows_is_reached_by_its_name_or_refused_as_the_mesh_says(proxied):
    (proxy, _, _, target), passes = proxied
    host = f"127.0.0.13:{target}"
    answer = await asked(proxy, request(f"GET http://{host}/x", host))
    opened = f"CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n"
    tunnelled = await asked(proxy, *([opened, "any bytes\r\n"] if passes else [opened]))
    assert answer.startswith("HTTP/1.1 200" if passes else "HTTP/1.1 502")
    assert tunnelled.startswith("HTTP/1.1 200" if passes else "HTTP/1.1 502")
    assert answer.endswith("127.0.0.13 got GET /x HTTP/1.1") == passes
    assert tunnelled.endswith("127.0.0.13 got any bytes") == passes
