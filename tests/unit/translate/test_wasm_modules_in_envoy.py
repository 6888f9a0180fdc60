"""The real Envoy with plugins whose modules cannot be had: calls are refused or pass as `failStrategy` says."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from fakes.loopback_mesh import calling_reviews
from fakes.ports import free_ports
from fakes.wasm_module import adds_header

MODULE = adds_header("x-wasm", "passed")
RIGHT, WRONG = hashlib.sha256(MODULE).hexdigest(), hashlib.sha256(b"another").hexdigest()
PLUGIN = """
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {{name: guard}}
spec:
  url: http://127.0.0.1:{modules}/{path}
  sha256: {digest}
  failStrategy: {strategy}
  match: [{{mode: CLIENT, ports: [{{number: {guarded}}}]}}]
"""


async def serve(reader, writer):
    """Modules at one path, a way there at another, and for all else an application's answer."""
    path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
    body, head = MODULE if path == b"/module" else b"", b"200 OK"
    if path == b"/moved":
        head = b"302 Found\r\nlocation: /module"
    writer.write(
        b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (head, len(body), body)
    )
    await writer.drain()
    writer.close()


async def answer(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\nhost: reviews:{port}\r\nconnection: close\r\n\r\n".encode())
    found = (await reader.read()).decode()
    writer.close()
    return int(found.split()[1]), "x-wasm: passed" in found


@pytest.mark.parametrize(
    ("path", "digest", "strategy", "guarded"),
    [
        ("module", RIGHT, "FAIL_CLOSE", (200, True)),
        ("module", WRONG, "FAIL_CLOSE", (503, False)),
        ("module", WRONG, "FAIL_OPEN", (200, False)),
        ("moved", RIGHT, "FAIL_CLOSE", (503, False)),
        ("nowhere", RIGHT, "FAIL_CLOSE", (503, False)),
        ("dead", RIGHT, "FAIL_CLOSE", (503, False)),
        ("dead", RIGHT, "FAIL_OPEN", (200, False)),
    ],
)
async def test_a_module_that_cannot_be_had_decides_over_its_own_calls_alone(
    path, digest, strategy, guarded, tmp_path
):
    port, free, target, modules = free_ports(4)
    text = PLUGIN.format(guarded=port, modules=modules, path=path, digest=digest, strategy=strategy)
    served = {"http": port, "http-2": free}
    servers = [await asyncio.start_server(serve, "127.0.0.11", target)]
    if path != "dead":
        servers.append(await asyncio.start_server(serve, "127.0.0.1", modules))
    try:
        async with calling_reviews(text, target, served, tmp_path):
            assert [await answer(port), await answer(free)] == [guarded, (200, False)]
    finally:
        for each in servers:
            each.close()
