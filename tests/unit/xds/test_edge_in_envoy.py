"""What a real Envoy makes of Gateways, DestinationRules and Sidecars, with real callers and servers on loopback."""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager, suppress

import msgspec

from fakes.bookinfo import objects, pod
from fakes.credentials import PKI, secret, tls_secret
from fakes.edge import GKE, INGRESS, Pilot, https, tls_gateway
from fakes.eventually import eventually
from fakes.manifests import gone, put
from fakes.pki import Pki, Shown
from fakes.ports import free_ports
from isthmus.model.proxy import ProxyKind
from isthmus.sidecar.certs import Held

MESH = Pki("mesh root")
HERE = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
"""A tunnel is there."""


def held(account):
    """The certificate of a workload, as its agent holds it."""
    shown = MESH.leaf(uris=(f"spiffe://cluster.local/ns/istio-system/sa/{account}",))
    return Held(shown.certificate, shown.key, MESH.roots, "1", time.time() - 60, time.time() + 3600)


class Server:
    """Answers each request alike, and what is no request with itself; `heard` is all that came."""

    def __init__(self, answer):
        self.heard, self._answer = [], answer

    async def take(self, reader, writer):
        with suppress(ConnectionError):
            while block := await reader.read(65536):
                self.heard.append(block)
                writer.write(self._answer if b"HTTP/1.1\r\n" in block else block)
                await writer.drain()
        writer.close()

    @property
    def all(self):
        return b"".join(self.heard)


@asynccontextmanager
async def serving(answer=OK, path=None):
    """A server at a port of loopback, or at a path."""
    server = Server(answer)
    where = {"path": path} if path else {"host": HERE, "port": 0}
    start = asyncio.start_unix_server if path else asyncio.start_server
    async with await start(server.take, **where) as listening:
        server.port = 0 if path else listening.sockets[0].getsockname()[1]
        yield server


def believing(host, shown=None):
    """How a caller speaks TLS with a host, and shows a certificate where it has one."""
    context = ssl.create_default_context(cadata=(PKI.roots + MESH.roots).decode())
    context.check_hostname = not host.startswith("mesh")
    context.set_alpn_protocols(["http/1.1"])
    if shown is not None:
        context.load_cert_chain(shown)
    return context


async def told(port, sent, wanted=b"", *, host="", shown=None):
    """What is answered to bytes until `wanted` is there, in TLS where there is a host; empty where nothing is."""
    context = believing(host, shown) if host else None
    answer = b""
    with suppress(OSError):
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(
                HERE, port, ssl=context, server_hostname=host or None
            )
            writer.write(sent)
            while (block := await reader.read(4096)) and wanted not in (answer := answer + block):
                pass
            writer.close()
    return answer


async def comes(first, port, sent, **how):
    """Waits until what `port` answers begins so."""

    async def holds():
        return (await told(port, sent, **how)).startswith(first)

    await eventually(holds, 20)


def request(host):
    return f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()


def pair(folder, shown, name):
    path = folder / f"{name}.pem"
    path.write_bytes(shown.certificate + shown.key)
    return path


def entry(name, port, protocol="TCP"):
    """Something outside of the mesh, on loopback."""
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example.net]
  ports: [{{number: 9000, name: port, protocol: {protocol}}}]
  resolution: STATIC
  endpoints: [{{address: {HERE}, ports: {{port: {port}}}}}]
"""


def leads(port, to, gateway="edge"):
    """Connections to a port of the gateway go there."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: to-{to}}}
spec:
  hosts: ["*"]
  gateways: [{gateway}]
  tcp: [{{match: [{{port: {port}}}], route: [{{destination: {{host: {to}.example.net}}}}]}}]
"""


def policy(host, text):
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {host}}}
spec: {{host: {host}.example.net, trafficPolicy: {{{text}}}}}
"""


def tcp(port):
    return f'{{port: {{number: {port}, name: tcp-{port}, protocol: TCP}}, bind: {HERE}, hosts: ["*"]}}'


APP_RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [mesh.example.com, open.example.com, app.example.net]
  gateways: [edge]
  http: [{route: [{destination: {host: app.example.net}}]}]
"""


async def test_servers_ask_callers_for_certificates_as_their_mode_says(tmp_path):
    (port,), pilot = free_ports(1), Pilot(own=held("default"))
    servers = (
        https("mesh.example.com", "mode: ISTIO_MUTUAL", port, HERE),
        https("open.example.com", "mode: OPTIONAL_MUTUAL, credentialName: open", port, HERE),
    )
    of_mesh = pair(tmp_path, MESH.leaf(uris=("spiffe://cluster.local/ns/a/sa/caller",)), "mesh")
    elsewhere = pair(tmp_path, MESH.leaf(uris=("spiffe://other/ns/a/sa/caller",)), "elsewhere")
    partner = pair(tmp_path, PKI.leaf(dns=("partner.example.com",)), "partner")
    stranger = pair(tmp_path, Pki("another root").leaf(dns=("a.example.com",)), "stranger")
    asked = {host: request(f"{host}.example.com") for host in ("mesh", "open")}
    async with serving() as app:
        pilot.step(*objects(gke=[tls_gateway("edge", *servers), APP_RULES, entry("app", app.port, "HTTP")]))
        shown = tls_secret("open", PKI.leaf(dns=("open.example.com",)), **{"ca.crt": PKI.roots})
        pilot.step(put(GKE, shown), gone(GKE, tls_secret("open-cacert", Shown(b"", b""))))
        async with pilot.envoy(tmp_path):
            await comes(b"HTTP/1.1 200", port, asked["mesh"], host="mesh.example.com", shown=of_mesh)
            assert b"URI=spiffe://cluster.local/ns/a/sa/caller" in app.heard[-1]
            for wrong in (None, elsewhere, partner):
                assert not await told(port, asked["mesh"], host="mesh.example.com", shown=wrong), wrong
            for right in (partner, None):
                answer = await told(port, asked["open"], host="open.example.com", shown=right)
                assert answer.startswith(b"HTTP/1.1 200"), right
                assert (b"DNS=partner.example.com" in app.heard[-1]) is (right is not None)
            assert not await told(port, asked["open"], host="open.example.com", shown=stranger)


async def test_connections_go_through_tunnels_and_say_from_where_they_come(tmp_path):
    ports = dict(zip(("connect", "post", "v1", "v2"), free_ports(4), strict=True))
    ways = {
        "connect": "tunnel: {targetHost: db.example.org, targetPort: 3306}",
        "post": "tunnel: {protocol: POST, targetHost: db.example.org, targetPort: 3306}",
        "v1": "proxyProtocol: {version: V1}",
        "v2": "proxyProtocol: {version: V2}",
    }
    pilot = Pilot()
    async with serving(OPEN) as through, serving() as direct:
        behind = {name: through if "tunnel" in way else direct for name, way in ways.items()}
        rules = [
            text
            for name, way in ways.items()
            for text in (entry(name, behind[name].port), policy(name, way), leads(ports[name], name))
        ]
        pilot.step(*objects(gke=[tls_gateway("edge", *map(tcp, ports.values())), *rules]))
        async with pilot.envoy(tmp_path):
            await comes(b"PROXY", ports["v1"], b"hello", wanted=b"hello")
            direct.heard.clear()
            assert (await told(ports["v1"], b"hello", b"hello")).endswith(b"hello")
            line, _, rest = direct.all.partition(b"\r\n")
            assert line.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
            assert rest == b"hello"
            direct.heard.clear()
            await told(ports["v2"], b"hello", b"hello")
            assert direct.all.startswith(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11")
            assert direct.all.endswith(b"hello")
            for name in ("connect", "post"):
                through.heard.clear()
                assert b"hello" in await told(ports[name], b"hello", b"hello")
                assert through.all.startswith(f"{name.upper()} ".encode())
                assert b"host: db.example.org:3306\r\n" in through.all
                assert b"hello" in through.all


async def test_a_gateway_behind_a_balancer_reads_from_where_connections_come(tmp_path):
    behind = msgspec.structs.replace(INGRESS, config='{"gatewayTopology": {"proxyProtocol": {}}}')
    (port,), pilot = free_ports(1), Pilot(behind)
    server = f'{{port: {{number: {port}, name: http, protocol: HTTP}}, bind: {HERE}, hosts: ["*"]}}'
    async with serving() as app:
        pilot.step(*objects(gke=[tls_gateway("edge", server), APP_RULES, entry("app", app.port, "HTTP")]))
        async with pilot.envoy(tmp_path):
            line = b"PROXY TCP4 203.0.113.9 203.0.113.1 4000 80\r\n"
            await comes(b"HTTP/1.1 200", port, line + request("app.example.net"))
            assert b"x-forwarded-for: 203.0.113.9" in app.heard[-1].lower()


CAPTURED = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: captured}
spec:
  configPatches:
    - applyTo: LISTENER_FILTER
      match: {context: SIDECAR_OUTBOUND, listener: {name: virtualOutbound}}
      patch:
        operation: INSERT_FIRST
        value:
          name: envoy.filters.listener.proxy_protocol
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol
"""
"""Connections to the port of what is captured say in a line where they were meant to go: no kernel says it here."""


async def test_a_sidecar_has_the_sockets_that_it_is_given_and_hands_on_what_nobody_knows(tmp_path):
    inbound, outbound, *own = free_ports(4)
    unix = tmp_path / "app.sock"
    sidecar = f"""
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: default}}
spec:
  ingress:
    - {{port: {{number: {inbound}, protocol: HTTP}}, bind: {HERE}, captureMode: NONE, defaultEndpoint: "unix://{unix}"}}
  egress:
    - {{port: {{number: {outbound}, protocol: HTTP}}, bind: {HERE}, captureMode: NONE, hosts: ["*/*"]}}
    - {{bind: "unix://{tmp_path}/mesh.sock", port: {{protocol: HTTP}}, hosts: ["*/*"]}}
    - {{hosts: ["*/*"]}}
  outboundTrafficPolicy: {{mode: ALLOW_ANY, egressProxy: {{host: way-out.example.net, port: {{number: 9000}}}}}}
"""
    settings = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: istio, namespace: istio-system}}
data: {{mesh: "{{proxyListenPort: {own[0]}, proxyInboundListenPort: {own[1]}}}"}}
"""
    subject = msgspec.structs.replace(INGRESS, kind=ProxyKind.SIDECAR, namespace="default", labels=())
    pilot = Pilot(subject, own=held("app"))
    async with serving() as known, serving() as way_out, serving(path=str(unix)) as app:
        entries = (entry("known", known.port, "HTTP"), entry("way-out", way_out.port, "HTTP"))
        pilot.step(
            *objects(gke=[sidecar, settings, CAPTURED, pod("app", INGRESS.address, app="app"), *entries])
        )
        async with pilot.envoy(tmp_path):
            await comes(b"HTTP/1.1 200", inbound, request("app"))
            assert b"host: app" in app.all
            await comes(b"HTTP/1.1 200", outbound, request("nobody.example.org"))
            assert b"host: nobody.example.org" in way_out.all
            meant = b"PROXY TCP4 127.0.0.1 203.0.113.9 4000 443\r\n"
            assert await told(own[0], meant + b"any bytes", b"any bytes") == b"any bytes"
            assert way_out.heard[-1] == b"any bytes"
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "mesh.sock"))
            writer.write(request("known.example.net:9000"))
            assert (await reader.read(4096)).startswith(b"HTTP/1.1 200")
            writer.close()
            assert b"host: known.example.net:9000" in known.all


async def test_connections_end_with_the_cas_by_which_their_server_was_believed(tmp_path):
    (port,), pilot = free_ports(1), Pilot()
    vault, calls = Server(OK), []
    shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shown.load_cert_chain(pair(tmp_path, PKI.leaf(dns=("vault.example.net",)), "vault"))

    async def take(reader, writer):
        calls.append(1)
        await vault.take(reader, writer)

    server = f'{{port: {{number: {port}, name: http, protocol: HTTP}}, bind: {HERE}, hosts: ["*"]}}'
    rules = (policy("vault", "tls: {mode: SIMPLE, credentialName: cas}"), APP_RULES.replace("app", "vault"))

    def believe(pki):
        pilot.step(put(GKE, secret("cas", **{"ca.crt": pki.roots})), gone(GKE, secret("cas-cacert")))

    async with await asyncio.start_server(take, HERE, 0, ssl=shown) as listening:
        behind = entry("vault", listening.sockets[0].getsockname()[1], "HTTP")
        pilot.step(*objects(gke=[tls_gateway("edge", server), behind, *rules]))
        believe(PKI)
        asked = request("vault.example.net")
        async with pilot.envoy(tmp_path):
            await comes(b"HTTP/1.1 200", port, asked)
            calls.clear()
            for _ in range(5):
                assert (await told(port, asked)).startswith(b"HTTP/1.1 200")
            assert not calls, "one connection serves all requests"
            believe(Pki("another root"))
            await comes(b"HTTP/1.1 503", port, asked)
            believe(PKI)
            await comes(b"HTTP/1.1 200", port, asked)


@asynccontextmanager
async def calling(port, host, shown):
    """A caller that keeps its connection; yields what tells whether a request on it is answered."""
    reader, writer = await asyncio.open_connection(
        HERE, port, ssl=believing(host, shown), server_hostname=host
    )

    async def goes_on():
        writer.write(request(host))
        return (await reader.read(4096)).startswith(b"HTTP/1.1 200")

    try:
        yield goes_on
    finally:
        writer.close()


async def test_connections_end_with_the_cas_by_which_their_caller_was_believed(tmp_path):
    (port,), pilot = free_ports(1), Pilot()
    hosts = ("open.example.com", "mesh.example.com")
    servers = [https(host, f"mode: MUTUAL, credentialName: {host}", port, HERE) for host in hosts]
    partner = pair(tmp_path, PKI.leaf(dns=("partner.example.com",)), "partner")

    def believe(host, pki):
        shown = tls_secret(host, PKI.leaf(dns=(host,)), **{"ca.crt": pki.roots})
        pilot.step(put(GKE, shown), gone(GKE, tls_secret(f"{host}-cacert", Shown(b"", b""))))

    async with serving() as app:
        pilot.step(*objects(gke=[tls_gateway("edge", *servers), APP_RULES, entry("app", app.port, "HTTP")]))
        for host in hosts:
            believe(host, PKI)
        async with pilot.envoy(tmp_path):
            for host in hosts:
                await comes(b"HTTP/1.1 200", port, request(host), host=host, shown=partner)
            async with calling(port, hosts[0], partner) as first, calling(port, hosts[1], partner) as second:
                believe(
                    hosts[1], PKI
                )  # its own certificate is a new one, those whom it believes are as before
                assert await first() and await second()
                believe(hosts[0], Pki("another root"))

                async def has_ended():
                    return not await first()

                await eventually(has_ended, 20)
                assert await second()
            assert not await told(port, request(hosts[0]), host=hosts[0], shown=partner)
