"""Servers that speak first, in the real Envoy: whom they greet, and who is not even passed on to them."""

from __future__ import annotations

import socketserver

import pytest

from drawn.worlds import document, pods, service
from fakes.guarded_envoy import upstream
from fakes.inbound_envoy import InboundEnvoy, inbound_of
from fakes.serving import serving
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.trace.call import Call, Hello, Speech
from isthmus.translate.transport import upstream_alpn

ADDRESS, MYSQL, REDIS = "10.2.1.1", 12306, 15379
SERVED = [
    service("db", ports=(("mysql", 3306), ("redis", 6379)), address="10.1.0.1"),
    *pods("db", address="10.1.0.1", versions=("v1",)),
]
_RULES = [{"from": [{"source": {"principals": ["cluster.local/ns/default/sa/web"]}}]}]
POLICY = document("AuthorizationPolicy", "readers", {"rules": _RULES}, api="security.istio.io/v1")
WEB, OTHER = (f"spiffe://cluster.local/ns/default/sa/{name}" for name in ("web", "other"))
WORKLOAD = Proxy(
    kind=ProxyKind.SIDECAR,
    address=ADDRESS,
    name="db-1",
    namespace="default",
    cluster=ClusterId("c"),
    labels=(("app", "db"), ("version", "v1")),
)
_SOON_S = 0.5


class _Greets(socketserver.BaseRequestHandler):
    def handle(self):
        self.server.called += 1
        self.request.sendall(b"greeting")
        self.request.recv(100)


@pytest.fixture(scope="module")
def server():
    made = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Greets)
    made.called = 0
    with serving(made):
        yield made


@pytest.fixture(scope="module")
def envoy(server, tmp_path_factory):
    upstreams = [upstream(f"inbound|{port}||", server.server_address[1]) for port in (MYSQL, REDIS)]
    made = InboundEnvoy([inbound_of(SERVED, [POLICY], WORKLOAD)], upstreams)
    with made.running(tmp_path_factory.mktemp("greeting")):
        yield made


def heard(envoy, server, port, identity):
    """What somebody hears who says nothing, and how often the server was called for him."""
    before = server.called
    hello = Hello(identity=identity, alpn=tuple(upstream_alpn(False, False))) if identity else None
    call = Call(address=ADDRESS, port=port, speech=Speech.SILENCE, hello=hello, source="127.1.0.1")
    with envoy.connected(0, call) as connection:
        connection.settimeout(_SOON_S if identity != WEB else 10)
        try:
            found = connection.recv(100)
        except TimeoutError:
            found = b""
        return found, server.called - before


def test_who_is_let_in_is_greeted(envoy, server):
    assert heard(envoy, server, MYSQL, WEB) == (b"greeting", 1)


@pytest.mark.parametrize("port", [MYSQL, REDIS])
def test_nobody_is_passed_on_in_plain_text_where_all_must_show_who_they_are(envoy, server, port):
    assert heard(envoy, server, port, "") == (b"", 0)


def test_where_callers_speak_first_nobody_is_passed_on_who_is_not_let_in(envoy, server):
    assert heard(envoy, server, REDIS, OTHER) == (b"", 0)


def test_where_the_server_speaks_first_whoever_is_of_the_mesh_is_greeted_and_no_more(envoy, server):
    """Envoy asks its rules at the first byte of a caller, and nothing makes it ask before."""
    hello = Hello(identity=OTHER, alpn=tuple(upstream_alpn(False, False)))
    call = Call(address=ADDRESS, port=MYSQL, speech=Speech.SILENCE, hello=hello, source="127.1.0.1")
    with envoy.connected(0, call) as connection:
        assert connection.recv(100) == b"greeting"
        connection.sendall(b"anything")
        assert connection.recv(100) == b""
