"""From outside of a network nothing in it is reached but what takes mutual TLS: a real Envoy, and any caller.

All services here have the same port number. What must not be reached says so when somebody connects.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest

from fakes.pki import Pki
from fakes.ports import free_ports
from fakes.running_envoy import running_envoy
from isthmus.envoy.types import Cluster, ClusterLoadAssignment, Listener
from isthmus.translate.offline import read_case
from isthmus.translate.types import ENDPOINTS, LISTENER, UPSTREAM

MESH = """
kind: Case
proxy: {kind: router, address: 10.10.0.9, namespace: istio-system, labels: {istio: eastwest}}
---
kind: Cluster
metadata: {name: east}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: cross-network-gateway, namespace: istio-system}
spec:
  selector: {istio: eastwest}
  servers:
    - {port: {number: 15443, name: tls, protocol: TLS}, hosts: ["*.local"], tls: {mode: AUTO_PASSTHROUGH}}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {clusterIP: 10.110.0.INDEX, selector: {app: NAME}, ports: [{port: 80, name: tcp}]}
---
apiVersion: v1
kind: Pod
metadata: {name: NAME-1, labels: {app: NAME, version: v1LABEL}}
status: {phase: Running, podIP: 10.10.0.INDEX}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: NAME}
spec: {host: NAME, trafficPolicy: {tls: {mode: MODE}}, subsets: [{name: v1, labels: {version: v1}}]}
"""
MODES = ("ISTIO_MUTUAL", "DISABLE", "SIMPLE")
SIDECAR = ", security.istio.io/tlsMode: istio"
ALPNS = (
    (),
    ("istio",),
    ("istio-peer-exchange",),
    ("istio-http/1.1",),
    ("istio-h2", "istio"),
    ("h2", "http/1.1"),
)


def names_of(service):
    """What a caller could try, to get to a service."""
    host = f"{service}.default.svc.cluster.local"
    return (
        f"outbound_.80_._.{host}",
        f"outbound_.80_.v1_.{host}",
        f"outbound_.81_._.{host}",
        f"outbound|80||{host}",
        f"outbound|80|v1|{host}",
        f"inbound|80||{host}",
        host,
        service,
    )


@contextmanager
def application(answer=None):
    """The port of a server that counts who connects; it speaks TLS with the context `answer`."""
    met = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            met.append(connection)
            if answer is None:
                connection.close()
                continue
            try:
                with answer.wrap_socket(connection, server_side=True) as secure:
                    secure.sendall(b"here")
            except OSError:
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], met
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def resources(mesh, port, targets):
    """The gateway's listener and upstreams, on loopback: each endpoint is the application of its service."""
    case = read_case(mesh)
    generation = case.generation()
    made = {url: list(generation.resources(case.proxy, url, None)) for url in (LISTENER, UPSTREAM, ENDPOINTS)}
    (listener,) = (Listener.FromString(one.body) for one in made[LISTENER])
    listener.address.socket_address.address = "127.0.0.1"
    listener.address.socket_address.port_value = port
    told = {one.name: ClusterLoadAssignment.FromString(one.body) for one in made[ENDPOINTS]}
    upstreams = [Cluster.FromString(one.body) for one in made[UPSTREAM]]
    for upstream in upstreams:
        if upstream.type != Cluster.EDS:
            continue
        upstream.type = Cluster.STATIC
        upstream.ClearField("eds_cluster_config")
        upstream.ClearField("transport_socket")
        upstream.ClearField("transport_socket_matches")
        upstream.load_assignment.CopyFrom(told[upstream.name])
        for group in upstream.load_assignment.endpoints:
            for one in group.lb_endpoints:
                where = one.endpoint.address.socket_address
                where.address, where.port_value = "127.0.0.1", targets[where.address]
    return listener, upstreams


def reaches(port, name, alpn, context):
    """Whether a caller with this server name and these protocols gets to an application."""
    if alpn:
        context.set_alpn_protocols(list(alpn))
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    try:
        with context.wrap_socket(raw, server_hostname=name) as secure:
            return secure.recv(4) == b"here"
    except OSError:
        return False
    finally:
        raw.close()


def anybody():
    """A caller that believes everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """A running gateway before plain services of three modes, and one with a sidecar of each."""
    folder = tmp_path_factory.mktemp("gateway")
    shown = Pki().leaf(dns=("mesh",))
    (folder / "shown.pem").write_bytes(shown.certificate + shown.key)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(folder / "shown.pem")
    text, (port,) = MESH, free_ports(1)
    names = [
        (f"{kind}-{mode.lower().replace('_', '-')}", kind, mode)
        for kind in ("plain", "mesh")
        for mode in MODES
    ]
    for index, (name, kind, mode) in enumerate(names):
        one = SERVICE.replace("NAME", name).replace("INDEX", str(20 + index)).replace("MODE", mode)
        text += "---" + one.replace("LABEL", SIDECAR if kind == "mesh" else "")
    with application() as (plain_port, met), application(secure) as (mesh_port, _):
        targets = {
            f"10.10.0.{20 + index}": plain_port if kind == "plain" else mesh_port
            for index, (_, kind, _) in enumerate(names)
        }
        listener, upstreams = resources(text, port, targets)
        with running_envoy(folder, [listener], upstreams):
            yield port, met


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("alpn", ALPNS, ids=lambda alpn: "+".join(alpn) or "none")
def test_plain_text_is_reached_by_no_name_and_no_protocol(gateway, mode, alpn):
    port, met = gateway
    service = f"plain-{mode.lower().replace('_', '-')}"
    for name in names_of(service):
        assert not reaches(port, name, alpn, anybody()), name
    assert not met


@pytest.mark.parametrize("alpn", ALPNS, ids=lambda alpn: "+".join(alpn) or "none")
@pytest.mark.parametrize(
    "name", ["", "PassthroughCluster", "BlackHoleCluster", "xds-grpc", "*.local", "a.local", "agent"]
)
def test_names_of_other_upstreams_lead_nowhere(gateway, name, alpn):
    port, met = gateway
    assert not reaches(port, name or None, alpn, anybody())
    assert not met


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("alpn", ALPNS, ids=lambda alpn: "+".join(alpn) or "none")
def test_what_has_a_sidecar_is_reached_by_its_own_names_and_the_protocols_of_the_mesh(gateway, mode, alpn):
    port, _ = gateway
    whole, subset, *others = names_of(f"mesh-{mode.lower().replace('_', '-')}")
    of_mesh = any(each.startswith("istio") for each in alpn)
    assert reaches(port, whole, alpn, anybody()) == of_mesh
    assert reaches(port, subset, alpn, anybody()) == of_mesh
    assert not any(reaches(port, name, alpn, anybody()) for name in others)
