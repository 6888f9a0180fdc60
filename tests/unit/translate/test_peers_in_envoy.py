"""What a real Envoy makes of PeerAuthentications, with callers in plain text, in TLS, and in TLS of the mesh."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from fakes.bookinfo import objects, pod
from fakes.edge import INGRESS, Pilot
from fakes.eventually import eventually
from fakes.pki import Pki
from fakes.ports import free_ports
from isthmus.model.proxy import ProxyKind
from isthmus.sidecar.certs import Held

MESH, STRANGER = Pki("mesh root"), Pki("another root")
HERE = "127.0.0.1"
CALLER = "spiffe://cluster.local/ns/default/sa/caller"
REQUEST = b"GET / HTTP/1.1\r\nhost: app\r\n%s\r\n"
XFCC = b"x-forwarded-client-cert"
FORGED = XFCC + b": URI=spiffe://cluster.local/ns/default/sa/admin\r\n"
SIDECAR = """
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default}}
spec:
  ingress:
    - {{port: {{number: {http}, protocol: HTTP}}, bind: {here}, captureMode: NONE, defaultEndpoint: "127.0.0.1:{app}"}}
    - {{port: {{number: {tcp}, protocol: TCP}}, bind: {here}, captureMode: NONE, defaultEndpoint: "127.0.0.1:{app}"}}
"""


KNOWN = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: known}
spec:
  rules:
    - {from: [{source: {principals: [cluster.local/ns/default/sa/caller]}}], to: [{operation: {paths: [/in]}}]}
    - {to: [{operation: {paths: [/out]}}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: not-out}
spec:
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/caller]}}], to: [{operation: {paths: [/out]}}]}]
"""
"""The caller may ask for `/in`, and everybody for `/out` but the caller."""


def terms(mode, **ports):
    single = ", ".join(f"{port.lstrip('_')}: {{mode: {own}}}" for port, own in ports.items())
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: app}}
spec: {{selector: {{matchLabels: {{app: app}}}}, mtls: {{mode: {mode}}}, portLevelMtls: {{{single}}}}}
"""


class Application:
    """Answers requests, and gives all else back; `heard` is what came last."""

    def __init__(self):
        self.heard = b""

    async def take(self, reader, writer):
        with suppress(ConnectionError):
            while block := await reader.read(65536):
                self.heard = block
                ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                writer.write(ok if b"HTTP/1.1\r\n" in block else block)
                await writer.drain()
        writer.close()


class Workload:
    """A workload's port for requests and one for bytes, and how they are called."""

    def __init__(self, folder, pilot, app):
        self.pilot, self.app = pilot, app
        self._shown = {}
        for name, shown in (("mesh", MESH.leaf(uris=(CALLER,))), ("stranger", STRANGER.leaf(uris=(CALLER,)))):
            self._shown[name] = folder / f"{name}.pem"
            self._shown[name].write_bytes(shown.certificate + shown.key)

    def context(self, who, alpn=()):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(alpn)
        if who in self._shown:
            context.load_cert_chain(self._shown[who])
        return context

    async def open(self, port, who="", alpn=()):
        context = self.context(who, alpn) if who else None
        return await asyncio.open_connection(HERE, port, ssl=context, server_hostname="app" if who else None)

    async def says(self, port, sent, who="", alpn=()):
        """The first of what is answered; empty where nothing is."""
        with suppress(OSError):
            async with asyncio.timeout(10):
                reader, writer = await self.open(port, who, alpn)
                writer.write(sent)
                found = await reader.read(4096)
                writer.close()
                return found
        return b""

    async def step(self, mode, **ports):
        """Ask for callers to come on these terms, and wait until Envoy has them so."""
        self.pilot.step(*objects(gke=[terms(mode, **ports)]))

        async def is_there():
            return all(each.conversation.quiet for each in self.pilot.fanout.sessions)

        await eventually(is_there, 20)


@asynccontextmanager
async def workload(folder):
    http, tcp = free_ports(2)
    subject = msgspec.structs.replace(
        INGRESS, kind=ProxyKind.SIDECAR, namespace="default", labels=(("app", "app"),)
    )
    own = MESH.leaf(uris=("spiffe://cluster.local/ns/default/sa/app",))
    held = Held(own.certificate, own.key, MESH.roots, "1", time.time() - 60, time.time() + 3600)
    pilot, app = Pilot(subject, own=held), Application()
    async with await asyncio.start_server(app.take, HERE, 0) as listening:
        behind = listening.sockets[0].getsockname()[1]
        sidecar = SIDECAR.format(http=http, tcp=tcp, here=HERE, app=behind)
        pilot.step(*objects(gke=[sidecar, pod("app", INGRESS.address, app="app"), terms("PERMISSIVE")]))
        async with pilot.envoy(folder):
            ports = Workload(folder, pilot, app)

            async def is_open():
                return await ports.says(http, REQUEST % b"") != b""

            await eventually(is_open, 20)
            yield ports, http, tcp


def is_ok(answer):
    return answer.startswith(b"HTTP/1.1 200")


MESH_HTTP, MESH_BYTES = ["istio-http/1.1", "istio"], ["istio-peer-exchange", "istio"]


async def test_each_mode_takes_whom_it_says_and_nobody_else(tmp_path):
    async with workload(tmp_path) as (ports, http, tcp):
        plain, hello = REQUEST % b"", b"hello"

        async def taken():
            """Who is taken at the port for requests, then at that for bytes."""
            at_http = {
                "plain": await ports.says(http, plain),
                "mutual": await ports.says(http, plain, "mesh", MESH_HTTP),
                "mutual without ALPN": await ports.says(http, plain, "mesh"),
                "stranger": await ports.says(http, plain, "stranger", MESH_HTTP),
                "nobody": await ports.says(http, plain, "nobody", MESH_HTTP),
            }
            at_tcp = {
                "plain": await ports.says(tcp, hello),
                "mutual": await ports.says(tcp, hello, "mesh", MESH_BYTES),
                "mutual without ALPN": await ports.says(tcp, hello, "mesh"),
                "nobody": await ports.says(tcp, hello, "nobody"),
            }
            return {k for k, v in at_http.items() if is_ok(v)}, {k for k, v in at_tcp.items() if v == hello}

        both, strict = {"plain", "mutual"}, {"mutual", "mutual without ALPN"}
        assert await taken() == (both, both)
        for mode, at_tcp, wanted in (
            ("STRICT", "UNSET", (strict, strict)),
            ("STRICT", "DISABLE", (strict, {"plain"})),
            ("DISABLE", "PERMISSIVE", ({"plain"}, both)),
        ):
            await ports.step(mode, **{f"_{tcp}": at_tcp})
            assert await taken() == wanted


async def test_where_no_tls_is_spoken_that_of_the_application_comes_through(tmp_path):
    async with workload(tmp_path) as (ports, http, tcp):
        await ports.step("DISABLE")
        for port in (http, tcp):
            ports.app.heard = b""
            await ports.says(port, b"", "nobody", MESH_HTTP)
            assert ports.app.heard.startswith(b"\x16\x03"), "the application is sent the handshake itself"


async def test_connections_in_mutual_tls_stay_from_permissive_to_strict_and_back(tmp_path):
    async with workload(tmp_path) as (ports, http, tcp):
        kept = [await ports.open(http, "mesh", MESH_HTTP), await ports.open(tcp, "mesh", MESH_BYTES)]
        loose = await ports.open(http)

        async def goes_on(reader, writer, sent):
            writer.write(sent)
            return await reader.read(4096)

        assert is_ok(await goes_on(*loose, REQUEST % b""))
        for mode in ("STRICT", "PERMISSIVE", "STRICT"):
            await ports.step(mode)
            assert (
                is_ok(answer := await goes_on(*kept[0], REQUEST % b"")) and b"connection: close" not in answer
            )
            assert await goes_on(*kept[1], b"bytes") == b"bytes"

        async def is_asked_to_go():
            try:
                last = await goes_on(*loose, REQUEST % b"")
            except ConnectionError:
                return True
            return not last or b"connection: close" in last

        await eventually(is_asked_to_go, 60)
        for _, writer in (*kept, loose):
            writer.close()


@pytest.mark.parametrize("who", ["", "mesh"])
async def test_nobody_tells_the_application_that_a_caller_is_another(tmp_path, who):
    async with workload(tmp_path) as (ports, http, _):
        assert is_ok(await ports.says(http, REQUEST % FORGED, who, MESH_HTTP if who else ()))
        found = [line for line in ports.app.heard.split(b"\r\n") if line.lower().startswith(XFCC)]
        if not who:
            assert not found
            return
        (said,) = found
        *_, last = said.split(b",")
        assert b"URI=" + CALLER.encode() in last and b"By=spiffe://cluster.local/ns/default/sa/app" in last


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_caller_that_would_resume_its_session_is_known_on_each_connection(tmp_path, version):
    async with workload(tmp_path) as (ports, http, _):
        ports.pilot.step(*objects(gke=[*KNOWN.split("---"), terms("PERMISSIVE")]))
        context = ports.context("mesh", MESH_HTTP)
        context.maximum_version = ssl.TLSVersion[version]
        session = None

        def asked(path):
            """The status, on a connection that offers the session of the one before."""
            nonlocal session
            plain = socket.create_connection((HERE, http), timeout=10)
            with plain, context.wrap_socket(plain, server_hostname="app", session=session) as wire:
                wire.sendall(b"GET %s HTTP/1.1\r\nhost: app\r\n\r\n" % path)
                status = wire.recv(4096).split(b" ")[1]
                session = wire.session
                return int(status)

        async def holds():
            return await asyncio.to_thread(asked, b"/out") == 403

        await eventually(holds, 20)
        found = [await asyncio.to_thread(asked, path) for path in (b"/in", b"/out") * 3]
        assert found == [200, 403] * 3
