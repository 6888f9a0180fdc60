"""A real Envoy whose listeners keep AuthorizationPolicies, and callers with certificates of the mesh or without."""

from __future__ import annotations

import http.client
import socket
import socketserver
import ssl
from contextlib import closing, contextmanager

from fakes.pki import Pki
from fakes.ports import free_ports
from fakes.running_envoy import running_envoy
from fakes.serving import serving
from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.yaml import documents
from isthmus.envoy.types import Cluster, DownstreamTlsContext, Filter, HttpConnectionManager, Listener
from isthmus.model.authorization_policies import Governing
from isthmus.translate import connection_manager, http_filters, network_filters, proto
from isthmus.translate.guard import Checkpoint, Guard
from isthmus.translate.http_filters import router
from isthmus.translate.listener_parts import tls_inspector
from isthmus.translate.network_filters import tcp_proxy

PKI = Pki()
SERVER = PKI.leaf(dns=("guarded.example",))


def guard(text, domains=("cluster.local",), authorizers=()):
    """What holds where the policies of `text` do, whose specs alone are written, a document each."""
    found = tuple(Governing(policy(each.value, index)) for index, each in enumerate(documents(text)))
    return Guard(trust_domains=domains, authorization=found, authorizers=authorizers)


def policy(spec, index=0):
    kind = kind_of("security.istio.io/v1", "AuthorizationPolicy")
    meta = {"name": f"p{index}", "namespace": "default", "annotations": spec.pop("annotations", {})}
    return decode(kind, {"metadata": meta, "spec": spec})


class Guarded:
    """Ports of a running Envoy by the policies that hold there."""

    def __init__(self, folder):
        self._folder = folder
        self._files = {}

    @contextmanager
    def running(self, http=(), tcp=(), upstreams=(), plain=()):
        """With a port for each guard: `self.http[i]`, `self.tcp[i]`; bytes go to upstream 0, which must be `greets`.

        Ports of `plain` take requests without TLS.
        """
        ports = free_ports(len(http) + len(tcp) + len(plain))
        self.http, self.tcp = ports[: len(http)], ports[len(http) : len(http) + len(tcp)]
        self.plain = ports[len(http) + len(tcp) :]
        listeners = [
            _listener(port, _requests(Checkpoint(each, port)))
            for port, each in zip(self.http, http, strict=True)
        ]
        listeners += [
            _listener(port, _bytes(Checkpoint(each, port))) for port, each in zip(self.tcp, tcp, strict=True)
        ]
        listeners += [
            _listener(port, _requests(Checkpoint(each, port)), ends_tls=False)
            for port, each in zip(self.plain, plain, strict=True)
        ]
        with running_envoy(self._folder, listeners, upstreams):
            yield self

    def holds(self, caller, shown):
        """Callers called so show this certificate."""
        file = self._folder / f"caller-{len(self._files)}.pem"
        file.write_bytes(shown.certificate + shown.key)
        self._files[caller] = file

    def ask_plainly(self, port):
        """The status of an answer to a request without TLS."""
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().status

    def ask(self, port, path="/", method="GET", headers=(), caller=None):
        """The status of an answer; `caller` is what a certificate says: (URIs, DNS names)."""
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=self._context(caller), timeout=10)
        with closing(connection):
            connection.putrequest(method, path, skip_host=any(name == "host" for name, _ in headers))
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders()
            return connection.getresponse().status

    def says(self, port, caller=None, name="guarded.example"):
        """What is answered to bytes; nothing where the connection is closed."""
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        with plain, self._context(caller).wrap_socket(plain, server_hostname=name) as wire:
            try:
                wire.sendall(b"hello")
                return wire.recv(100)
            except OSError:
                return b""

    def _context(self, caller):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if caller is not None:
            if caller not in self._files:
                uris, dns = caller
                self.holds(caller, PKI.leaf(uris=uris, dns=dns))
            context.load_cert_chain(self._files[caller])
        return context


def _listener(port, last, *, ends_tls=True):
    tls = DownstreamTlsContext()
    shown = tls.common_tls_context.tls_certificates.add()
    shown.certificate_chain.inline_bytes, shown.private_key.inline_bytes = SERVER.certificate, SERVER.key
    tls.common_tls_context.validation_context.trusted_ca.inline_bytes = PKI.roots
    made = Listener(
        name=str(port), address=proto.address("127.0.0.1", port), listener_filters=[tls_inspector()]
    )
    chain = made.filter_chains.add(filters=last)
    if ends_tls:
        chain.transport_socket.CopyFrom(proto.transport_socket("tls", tls))
    return made


def _requests(point):
    config = HttpConnectionManager(
        stat_prefix="guarded", http_filters=[*http_filters.checks(point), router.in_chain()]
    )
    config.normalize_path.value = True
    host = config.route_config.virtual_hosts.add(name="all", domains=["*"])
    host.routes.add(match={"prefix": "/"}, direct_response={"status": 200})
    return [Filter(name=connection_manager.NAME, typed_config=proto.any_of(config))]


def _bytes(point):
    return [*network_filters.checks(point), tcp_proxy.to_upstream("0")]


def upstream(name, port, *, http2=False):
    """An upstream on loopback."""
    made = Cluster(name=name, type="STATIC", connect_timeout={"seconds": 5})
    made.load_assignment.cluster_name = name
    endpoint = made.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.CopyFrom(proto.address("127.0.0.1", port))
    if http2:
        made.http2_protocol_options.SetInParent()
    return made


class _Greets(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(100)
        self.request.sendall(b"greeting")


@contextmanager
def greeting():
    """The port of a server that answers whatever it hears."""
    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Greets)) as server:
        yield server.server_address[1]
