"""A real Envoy with inbound listeners as proxies hold them, on loopback: whom they let in is all that it does.

A caller has an address of loopback, and says first, by a line of the PROXY protocol, whom it called; then it speaks TLS
with a certificate of its own, or plain text. Whoever is let in is answered at once: bytes come back as they are.
"""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

from google.protobuf import json_format

from drawn.worlds import case_of
from fakes.ports import free_ports
from fakes.running_envoy import running_envoy
from fakes.staged_caller import InTls, said, told
from fakes.staged_certificates import PKI, SHOWN
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import (
    DownstreamTlsContext,
    Filter,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    TcpProxy,
)
from isthmus.model.findings import Finding
from isthmus.translate import proto
from isthmus.translate.names import VIRTUAL_INBOUND
from isthmus.translate.offline import read_case
from isthmus.translate.trace.held import made_for

DETAILS, LEFT = "x-details", "x-left"
"""Headers of answers: why Envoy answered, and what RBAC filters left in metadata."""
ECHOED = "x-echoed"
_TYPES = "type.googleapis.com/envoy.extensions.filters"


def _parsed(tree, message):
    return json_format.ParseDict(tree, message, descriptor_pool=pool())


_FIRST = _parsed(
    {
        "name": "envoy.filters.listener.proxy_protocol",
        "typed_config": {"@type": f"{_TYPES}.listener.proxy_protocol.v3.ProxyProtocol"},
    },
    ListenerFilter(),
)
_ECHO = _parsed(
    {
        "name": "envoy.filters.network.echo",
        "typed_config": {"@type": f"{_TYPES}.network.echo.v3.Echo"},
    },
    Filter(),
)
_TOLD = [
    {"header": {"key": DETAILS, "value": "%RESPONSE_CODE_DETAILS%"}},
    {"header": {"key": LEFT, "value": "%DYNAMIC_METADATA(envoy.filters.http.rbac)%"}},
]
_SAYS_WHY = {
    "local_reply_config": {
        "mappers": [
            {
                "filter": {
                    "status_code_filter": {
                        "comparison": {"op": "GE", "value": {"default_value": 200, "runtime_key": "none"}}
                    }
                },
                "headers_to_add": _TOLD,
            }
        ]
    }
}
LET_IN = {
    "name": "let-in",
    "virtual_hosts": [
        {
            "name": "all",
            "domains": ["*"],
            "routes": [
                {"match": {"prefix": "/"}, "direct_response": {"status": 200}},
                {"match": {"connect_matcher": {}}, "direct_response": {"status": 200}},
            ],
        }
    ],
}


class Observed(NamedTuple):
    """What became of a call: status 0 where there was no HTTP answer."""

    status: int
    is_let_in: bool
    details: str = ""
    left: dict = {}


def inbound_of(served, documents, proxy):
    """The listener of a workload for what it is sent, of all that there is in the mesh."""
    case = read_case(case_of(served, documents))
    refused = [each.value for each in case.changes if isinstance(each.value, Finding)]
    assert not refused, refused
    return made_for(case.generation(), proxy).listeners[VIRTUAL_INBOUND]


class InboundEnvoy:
    """Puts inbound listeners on loopback, each with a port, and calls them by number."""

    def __init__(self, listeners, upstreams=()):
        self._listeners, self._upstreams = list(listeners), upstreams
        self._ports = free_ports(len(self._listeners))
        self._folder = None

    @contextmanager
    def running(self, folder):
        self._folder = folder
        there = {each.name for each in self._upstreams}
        made = [_staged(each, port, there) for each, port in zip(self._listeners, self._ports, strict=True)]
        with running_envoy(folder, made, self._upstreams):
            yield self

    def connected(self, number, call):
        """A connection that the listener has captured, in the TLS that `call` says; for who says nothing first."""
        made = socket.create_connection(("127.0.0.1", self._ports[number]), 10, (call.source, 0))
        made.sendall(_captured(call))
        if call.hello is None:
            return made
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(list(call.hello.alpn))
        shown, file = shown_by(call.hello), self._folder / "connected.pem"
        file.write_bytes(shown.certificate + shown.key)
        context.load_cert_chain(file)
        return context.wrap_socket(made, server_hostname=call.hello.sni or None)

    def send(self, number, call):
        """Make `call` as one that the listener has captured."""
        first = _captured(call)
        inside = InTls(call.hello, self._folder, shown_by(call.hello)) if call.hello is not None else None
        data = said(call, "inbound")
        place = ("127.0.0.1", self._ports[number])
        with socket.create_connection(place, timeout=10, source_address=(call.source, 0)) as connection:
            connection.sendall(first + (inside.hello() if inside else data))
            status, headers = _answer(connection, call, inside, data)
        left = headers.get(LEFT, "")
        found = json.loads(left) if left.startswith("{") else {}
        return Observed(status, status == 200 or ECHOED in headers, headers.get(DETAILS, ""), found)


def _captured(call):
    return f"PROXY TCP4 {call.source} {call.address} 40000 {call.port}\r\n".encode()


def _answer(connection, call, inside, data):
    try:
        if inside is None:
            with connection.makefile("rb") as reader:
                return _told(reader, call)
        inside.say(data, connection)
        return (0, {ECHOED: "yes"}) if inside.is_plain else _told(inside, call)
    except TimeoutError:
        raise
    except OSError:  # also of the handshake
        return 0, {}


def _told(reader, call):
    if call.request is not None:
        return told(reader, call)
    return 0, ({ECHOED: "yes"} if reader.readline() else {})


def shown_by(hello):
    """The certificate with which a caller proves to be whom it says that it is."""
    return _certificate(hello.identity, hello.names)


@cache
def _certificate(identity, names):
    return PKI.leaf(uris=(identity,) if identity else (), dns=names, name="")


def _staged(listener, port, there):
    made = Listener()
    made.CopyFrom(listener)
    made.name = f"{made.name}-{port}"
    del made.access_log[:]
    made.listener_filters_timeout.CopyFrom(proto.seconds(30))
    made.address.CopyFrom(proto.address("127.0.0.1", port))
    made.bind_to_port.value = True
    del made.additional_addresses[:]
    rest = [each for each in made.listener_filters if not each.name.endswith("original_dst")]
    del made.listener_filters[:]
    made.listener_filters.extend([_FIRST, *rest])
    for chain in made.filter_chains:
        if chain.transport_socket.typed_config.type_url.endswith("DownstreamTlsContext"):
            chain.transport_socket.typed_config.CopyFrom(proto.any_of(_certified(chain.transport_socket)))
        filters = [_without_upstreams(each, there) for each in chain.filters]
        del chain.filters[:]
        chain.filters.extend(filters)
    return made


def _without_upstreams(one, there):
    """The filter, if it leads to no other upstream than one that is there."""
    if one.typed_config.type_url.endswith("TcpProxy"):
        proxy = TcpProxy.FromString(one.typed_config.value)
        del proxy.access_log[:]
        return Filter(name=one.name, typed_config=proto.any_of(proxy)) if proxy.cluster in there else _ECHO
    if not one.typed_config.type_url.endswith("HttpConnectionManager"):
        return one
    manager = HttpConnectionManager.FromString(one.typed_config.value)
    manager.ClearField("route_config")
    _parsed(_SAYS_WHY, manager)
    _parsed(LET_IN, manager.route_config)
    del manager.access_log[:]
    manager.ClearField("tracing")
    return Filter(name=one.name, typed_config=proto.any_of(manager))


def _certified(socket_):
    """The same TLS with certificates at hand, and the same names asked of callers."""
    asked = DownstreamTlsContext.FromString(socket_.typed_config.value)
    made = DownstreamTlsContext(require_client_certificate=asked.require_client_certificate)
    common, whole = made.common_tls_context, asked.common_tls_context
    common.alpn_protocols.extend(whole.alpn_protocols)
    shown = common.tls_certificates.add()
    shown.certificate_chain.inline_bytes, shown.private_key.inline_bytes = SHOWN.certificate, SHOWN.key
    names = (
        whole.combined_validation_context.default_validation_context
        if whole.HasField("combined_validation_context")
        else whole.validation_context
    )
    common.validation_context.trusted_ca.inline_bytes = PKI.roots
    common.validation_context.match_typed_subject_alt_names.extend(names.match_typed_subject_alt_names)
    return made
