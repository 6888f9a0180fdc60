"""The real Envoy with what we translate: callers of the mesh and strangers reach one port, each as it may."""

from __future__ import annotations

import asyncio
import json
import ssl

import pytest

from fakes.bookinfo import pod
from fakes.eventually import eventually
from fakes.loopback_mesh import LoopbackMesh
from fakes.pki import Pki
from fakes.ports import free_ports
from isthmus.translate.offline import read_case

ME = "spiffe://cluster.local/ns/default/sa/reviews"


async def application(reader, writer):
    """Answers HTTP with the headers that it saw, and repeats all else."""
    first = await reader.read(65536)
    if first.split(b"\r\n")[0].endswith(b"HTTP/1.1"):
        lines = first.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        body = json.dumps(dict(line.split(": ", 1) for line in lines)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    else:
        writer.write(first)
    await writer.drain()
    writer.close()


MESH = """apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data:
  mesh: |
    accessLogFile: {log}
    accessLogFormat: "peer=%DOWNSTREAM_PEER_URI_SAN% self=%DOWNSTREAM_LOCAL_URI_SAN% \
      upstream_peer=%UPSTREAM_PEER_URI_SAN% %UPSTREAM_CLUSTER_RAW%"
"""


def case(ports, log):
    """Services of one workload: HTTP, TCP, one that nobody says the protocol of, and a headless one."""
    texts = [
        "kind: Case\nproxy: {address: 127.0.0.1}\n",
        "kind: Cluster\nmetadata: {name: gke}\n",
        MESH.format(log=log),
        pod("reviews-v1", "127.0.0.1"),
    ]
    for name, vip in (("http", "127.0.0.2"), ("tcp", "127.0.0.3"), ("what", "127.0.0.4")):
        port = f"{{port: {ports[name]}, targetPort: {ports['own ' + name]}, name: {name}}}"
        spec = f"{{clusterIP: {vip}, selector: {{app: reviews}}, ports: [{port}]}}"
        texts.append(f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    port = f"{{port: {ports['own headless']}, name: tcp}}"
    spec = f"{{clusterIP: None, selector: {{app: reviews}}, ports: [{port}]}}"
    texts.append(f"apiVersion: v1\nkind: Service\nmetadata: {{name: headless}}\nspec: {spec}\n")
    return read_case("---\n".join(texts))


class Mesh:
    """Where everything listens, and what Envoy wrote down."""

    def __init__(self, ports, log, pki):
        self.ports, self.log, self.pki = ports, log, pki

    async def http(self, host, port, headers=""):
        """The headers that the application saw."""
        status, body = await self.raw(host, port, f"GET / HTTP/1.1\r\nHost: http\r\n{headers}\r\n".encode())
        return json.loads(body) if status.startswith("HTTP/1.1 200") else status

    async def raw(self, host, port, request, tls=None):
        reader, writer = await asyncio.open_connection(
            host, port, ssl=tls, server_hostname="x" if tls else None
        )
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: ")
            )
            return head.partition(b"\r\n")[0].decode(), await reader.readexactly(size)
        finally:
            writer.close()

    async def echo(self, host, port, text=b"hello"):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(text)
            return await reader.read(100)
        finally:
            writer.close()


@pytest.fixture
async def mesh(tmp_path):
    names = ["admin", "http", "tcp", "what", "own http", "own tcp", "own what", "own headless"]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    log, pki = tmp_path / "access.log", Pki()
    server = await asyncio.start_server(application, "127.0.0.1")
    found = case(ports, log)
    own = server.sockets[0].getsockname()[1]
    loopback = LoopbackMesh(found.generation(), found.proxy, own, tmp_path, ports["admin"])
    loopback.believe(pki, ME)
    process = await loopback.run()
    try:
        yield Mesh(ports, log, pki)
    finally:
        process.kill()
        await process.wait()
        server.close()
        await server.wait_closed()


async def test_callers_of_the_mesh_are_known_and_strangers_are_served(mesh):
    ports = mesh.ports
    forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\n"

    for port in ("http", "what"):
        host = "127.0.0.1" if port == "http" else "127.0.0.4"
        known = await mesh.http(host, ports[port], forged)
        stranger = await mesh.http("127.0.0.1", ports[f"own {port}"], forged)
        assert "x-forwarded-client-cert" not in stranger
        assert f"URI={ME}" in known["x-forwarded-client-cert"]
        assert "sa/admin" not in known["x-forwarded-client-cert"]

    assert await mesh.echo("127.0.0.3", ports["tcp"]) == b"hello"
    assert await mesh.echo("127.0.0.4", ports["what"]) == b"hello"
    assert await mesh.echo("127.0.0.1", ports["own tcp"]) == b"hello"
    assert await mesh.echo("127.0.0.1", ports["own what"]) == b"hello"


async def test_a_certificate_of_another_mesh_or_none_is_refused(mesh):
    port = mesh.ports["own http"]
    request = b"GET / HTTP/1.1\r\nHost: http\r\n\r\n"

    def caller(pki, uri):
        context = ssl.create_default_context(cadata=mesh.pki.roots.decode())
        context.check_hostname = False
        context.set_alpn_protocols(["istio"])
        if pki is not None:
            shown = pki.leaf(uris=(uri,))
            path = mesh.log.with_name("caller.pem")
            path.write_bytes(shown.certificate + shown.key)
            context.load_cert_chain(path)
        return context

    status, _ = await mesh.raw(
        "127.0.0.1", port, request, caller(mesh.pki, "spiffe://cluster.local/ns/a/sa/b")
    )
    assert status == "HTTP/1.1 200 OK"
    for stranger in (caller(None, ""), caller(Pki(), ME), caller(mesh.pki, "spiffe://other.mesh/ns/a/sa/b")):
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await mesh.raw("127.0.0.1", port, request, stranger)


async def test_a_headless_service_is_called_with_mutual_tls_when_all_its_pods_have_sidecars(mesh):
    port = mesh.ports["own headless"]
    assert await mesh.echo("127.0.0.9", port) == b"hello"

    async def written():
        lines = mesh.log.read_text().splitlines() if mesh.log.exists() else []
        called = [line for line in lines if f"outbound|{port}||headless" in line]
        return [f"upstream_peer={ME}" in line for line in called] == [True]

    await eventually(written)


async def test_access_logs_name_both_sides(mesh):
    await mesh.http("127.0.0.1", mesh.ports["http"])

    async def written():
        text = mesh.log.read_text() if mesh.log.exists() else ""
        return f"peer={ME} self={ME}" in text and f"upstream_peer={ME}" in text

    await eventually(written)
