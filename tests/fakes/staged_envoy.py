"""A real Envoy that holds what a proxy holds, on loopback: nothing is captured, nothing has a certificate.

A caller says first, by a line of the PROXY protocol, whence it comes and whom it called; so the listeners find it as
if it had been captured. Each endpoint of each upstream is a place of `recording_app`.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import NamedTuple

from google.protobuf import json_format

from fakes.http2_caller import Http2Caller
from fakes.ports import free_ports
from fakes.recording_app import CALL, PLACE, RECEIPT, calls
from fakes.running_envoy import running_envoy
from fakes.spoken_tls import NEWEST_OF_ENVOY, Spoken
from fakes.staged_caller import InTls, said, told
from fakes.staged_certificates import PKI, SHOWN
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import (
    Cluster,
    ClusterLoadAssignment,
    CommonTlsContext,
    DownstreamTlsContext,
    HeaderValue,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    RouteConfiguration,
    TcpProxy,
    UpstreamTlsContext,
)
from isthmus.translate import proto
from isthmus.translate.trace.call import Speech
from isthmus.translate.trace.enums import enum_name

HOST, ROUTE = "x-host", "x-route"
"""Headers of answers: the virtual host and the route, by its index, that took the request."""
_WITHOUT = ("typed_extension_protocol_options",)
_WITHOUT += (
    "http2_protocol_options",
    "outlier_detection",
    "circuit_breakers",
    "upstream_bind_config",
    "filters",
)
_WITHOUT += (
    "eds_cluster_config",
    "cluster_type",
    "health_checks",
    "load_balancing_policy",
    "dns_lookup_family",
)
_FIRST = json_format.ParseDict(
    {
        "name": "envoy.filters.listener.proxy_protocol",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
        },
    },
    ListenerFilter(),
    descriptor_pool=pool(),
)


class Observed(NamedTuple):
    """What became of a call: an HTTP answer, where there was one, and what the applications were asked."""

    status: int = 0  # 0: the connection was closed
    headers: dict = {}
    receipts: tuple = ()

    @property
    def answering(self):
        """The receipt that the answer is of; None where Envoy answered."""
        return self.receipts[int(self.headers[RECEIPT])] if RECEIPT in self.headers else None

    @property
    def place(self):
        """Where what was no request has arrived; None where that is nowhere, or it was one."""
        return int(self.headers[PLACE].split()[0]) if PLACE in self.headers and not self.status else None

    @property
    def spoken(self):
        """In which TLS Envoy brought what has arrived there."""
        if self.answering is not None:
            return self.answering.spoken
        return Spoken.parse(self.headers[PLACE].partition(" ")[2])


class Stage:
    """Puts resources on loopback, and calls the Envoy that has them."""

    def __init__(self, held, applications):
        self._held, self._applications = held, applications
        self._folder = None
        self.places = []  # (upstream, address) by number
        self._listeners = [each for each in held.listeners.values() if _is_called(each)]
        bound = [each for each in self._listeners if _is_bound(each)]
        self._ports = dict(zip((each.name for each in bound), free_ports(len(bound)), strict=True))

    @contextmanager
    def running(self, folder):
        self._folder = folder
        listeners = [self._listener(each) for each in self._listeners]
        upstreams = [self._upstream(each) for each in self._held.upstreams.values()]
        with running_envoy(folder, listeners, upstreams):
            yield self

    def send(self, call, listener):
        """Make `call` as one that `listener` has captured, or got by its own socket."""
        name = next(calls)
        first = f"PROXY TCP4 {call.source} {call.address} 40000 {call.port}\r\n".encode()
        two = Http2Caller(call.request, name) if call.speech is Speech.HTTP2 else None
        data = two.first() if two is not None else said(call, name)
        inside = InTls(call.hello, self._folder) if call.hello is not None else None
        with socket.create_connection(("127.0.0.1", self._ports[listener]), timeout=30) as connection:
            # In one piece: a listener waits but a moment for what a connection begins with.
            connection.sendall(first + (inside.hello() if inside else data))
            if two is not None:
                status, headers = two.told(connection)
            else:
                status, headers = self._answer(connection, call, inside, data)
        return Observed(status, headers, tuple(self._applications.receipts[name]))

    def _answer(self, connection, call, inside, data):
        if inside is None:
            with connection.makefile("rb") as reader:
                return told(reader, call)
        try:
            inside.say(data, connection)
        except OSError:  # also of the handshake
            return 0, {}
        return told(inside, call)

    def receipts(self, observed):
        """All that came of a call by now: mirrored requests may come after the answer."""
        [name] = {dict(each.headers)[CALL] for each in observed.receipts} or {""}
        return tuple(self._applications.receipts[name]) if name else ()

    def _listener(self, listener):
        made = Listener()
        made.CopyFrom(listener)
        del made.access_log[:]
        if made.HasField("listener_filters_timeout"):
            made.listener_filters_timeout.CopyFrom(proto.seconds(30))  # whoever says nothing is not drawn
        if made.name in self._ports:
            made.address.CopyFrom(proto.address("127.0.0.1", self._ports[made.name]))
            made.bind_to_port.value = True
            del made.additional_addresses[:]
            rest = [each for each in made.listener_filters if not each.name.endswith("original_dst")]
            del made.listener_filters[:]
            made.listener_filters.extend([_FIRST, *rest])
        for chain in (
            *made.filter_chains,
            *([made.default_filter_chain] if made.HasField("default_filter_chain") else []),
        ):
            self._chain(chain)
        return made

    def _chain(self, chain):
        if chain.transport_socket.typed_config.type_url.endswith("DownstreamTlsContext"):
            chain.transport_socket.typed_config.CopyFrom(proto.any_of(_certified(chain.transport_socket)))
        for each in chain.filters:
            if each.typed_config.type_url.endswith("HttpConnectionManager"):
                manager = HttpConnectionManager.FromString(each.typed_config.value)
                if manager.HasField("rds"):
                    manager.route_config.CopyFrom(self._held.routes[manager.rds.route_config_name])
                manager.route_config.CopyFrom(_marked(manager.route_config))
                del manager.access_log[:]
                manager.ClearField("tracing")
                each.typed_config.CopyFrom(proto.any_of(manager))
            elif each.typed_config.type_url.endswith("TcpProxy"):
                proxy = TcpProxy.FromString(each.typed_config.value)
                del proxy.access_log[:]
                each.typed_config.CopyFrom(proto.any_of(proxy))

    def _upstream(self, upstream):
        made = Cluster()
        made.CopyFrom(upstream)
        for name in _WITHOUT:
            made.ClearField(name)
        made.type = Cluster.STATIC
        for each in (made, *made.transport_socket_matches):
            if each.HasField("transport_socket"):
                _with_certificates(each.transport_socket)
        if made.lb_policy == Cluster.CLUSTER_PROVIDED:
            made.lb_policy = Cluster.ROUND_ROBIN
        made.load_assignment.CopyFrom(self._assignment(upstream))
        made.load_assignment.cluster_name = made.name
        for group in made.load_assignment.endpoints:
            for one in group.lb_endpoints:
                where = one.endpoint.address.socket_address
                address = f"{where.address}:{where.port_value}"
                one.endpoint.address.CopyFrom(self._place(made.name, address))
                one.endpoint.ClearField("hostname")
        return made

    def _assignment(self, upstream):
        if upstream.type == Cluster.EDS and not upstream.HasField("cluster_type"):
            name = upstream.eds_cluster_config.service_name or upstream.name
            return self._held.assignments.get(name, ClusterLoadAssignment())
        if upstream.HasField("load_assignment"):
            return upstream.load_assignment
        anywhere = ClusterLoadAssignment()
        if upstream.type == Cluster.ORIGINAL_DST or upstream.HasField("cluster_type"):
            endpoint = anywhere.endpoints.add().lb_endpoints.add().endpoint
            endpoint.address.CopyFrom(proto.address(ASKED, 1))
        return anywhere

    def _place(self, upstream, address):
        self.places.append((upstream, address))
        return proto.address(*self._applications.address(len(self.places) - 1))

    def place_of(self, receipt):
        """The upstream and the address of the endpoint that got it."""
        return self.places[receipt.place]


ASKED = "0.0.0.1"
"""The endpoint of upstreams that lead wherever the caller wants to."""


def _is_called(listener):
    is_udp = listener.address.socket_address.protocol == listener.address.socket_address.UDP
    return not is_udp and enum_name(listener, "traffic_direction") != "INBOUND"


def _is_bound(listener):
    return not listener.HasField("bind_to_port") or listener.bind_to_port.value


def _certified(socket):
    """The same TLS with a certificate at hand; of callers any is taken that is of the same authority."""
    asked = DownstreamTlsContext.FromString(socket.typed_config.value)
    made = DownstreamTlsContext(require_client_certificate=asked.require_client_certificate)
    common = made.common_tls_context
    common.alpn_protocols.extend(asked.common_tls_context.alpn_protocols)
    shown = common.tls_certificates.add()
    shown.certificate_chain.inline_bytes, shown.private_key.inline_bytes = SHOWN.certificate, SHOWN.key
    if asked.require_client_certificate.value:
        common.validation_context.trusted_ca.inline_bytes = PKI.roots
    return made


def _with_certificates(socket):
    """In place: of the TLS of an upstream what it says and shows, with a certificate at hand; it believes anybody."""
    if not socket.typed_config.type_url.endswith("UpstreamTlsContext"):
        return
    asked = UpstreamTlsContext.FromString(socket.typed_config.value)
    made = UpstreamTlsContext(sni=asked.sni)
    common, whole = made.common_tls_context, asked.common_tls_context
    common.alpn_protocols.extend(whole.alpn_protocols)
    common.MergeFrom(CommonTlsContext(tls_params={"tls_maximum_protocol_version": NEWEST_OF_ENVOY}))
    if whole.tls_certificates or whole.tls_certificate_sds_secret_configs:
        shown = common.tls_certificates.add()
        shown.certificate_chain.inline_bytes, shown.private_key.inline_bytes = SHOWN.certificate, SHOWN.key
    socket.typed_config.CopyFrom(proto.any_of(made))


def _marked(routes):
    """The same routes, each saying in its answers which it is."""
    made = RouteConfiguration()
    made.CopyFrom(routes)
    for host in made.virtual_hosts:
        host.response_headers_to_add.add().header.CopyFrom(HeaderValue(key=HOST, value=host.name))
        for index, route in enumerate(host.routes):
            route.response_headers_to_add.add().header.CopyFrom(HeaderValue(key=ROUTE, value=str(index)))
    return made
