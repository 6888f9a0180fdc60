"""Listeners with random filter chains that say their names, and connections to tell them apart by."""

from __future__ import annotations

import socket
import ssl

from google.protobuf import json_format

from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import Listener

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.1.0.1", "127.1.2.3")
NAMES = ("", "a.example.com", "b.a.example.com", "example.com", "x.org", "A.Example.com")
PROTOCOLS = ("istio", "h2", "http/1.1", "istio-http/1.1")
SPOKEN = ("http/1.1", "h2c", "bytes", "tls")

_RANGES = (("127.0.0.0", 8), ("127.1.0.0", 16), ("127.1.2.3", 32), ("127.0.0.2", 32))
_SERVER_NAMES = ("a.example.com", "*.example.com", "*.a.example.com", "*.org", "*.com")
_ALPN = ("istio", "h2", "http/1.1", "h2c")
_TYPE = "type.googleapis.com/envoy.extensions.filters"


def listener_of(draw, port):
    """A listener on `port` of all `ADDRESSES`; each chain answers with its name and is done."""
    chains, seen = [], set()
    for number in range(draw.randint(2, 9)):
        match = _match(draw, port)
        # Envoy refuses two chains that match alike; a repeated part of a list is a chain of its own.
        if not any(part in seen for part in _parts(match)):
            seen |= set(_parts(match))
            chains.append(_chain(f"chain-{number}", match))
    first, *others = ({"socket_address": {"address": each, "port_value": port}} for each in ADDRESSES)
    tree = {
        "name": f"chains {port}",
        "address": first,
        "additional_addresses": [{"address": each} for each in others],
        "listener_filters": [
            _inspector("tls_inspector", "TlsInspector"),
            _inspector("http_inspector", "HttpInspector"),
        ],
        "filter_chains": chains,
    }
    if draw.random() < 0.5:
        tree["default_filter_chain"] = _chain("default", {})
    return json_format.ParseDict(tree, Listener(), descriptor_pool=pool())


def _match(draw, port):
    found = {}
    if draw.random() < 0.3:
        found["destination_port"] = draw.choice((port, port, 1))
    if draw.random() < 0.4:
        address, length = draw.choice(_RANGES)
        found["prefix_ranges"] = [{"address_prefix": address, "prefix_len": length}]
    if draw.random() < 0.4:
        found["server_names"] = draw.sample(_SERVER_NAMES, draw.choice((1, 2)))
    if draw.random() < 0.4:
        found["transport_protocol"] = draw.choice(("tls", "raw_buffer"))
    if draw.random() < 0.5:
        found["application_protocols"] = draw.sample(_ALPN, draw.choice((1, 2)))
    return found


def _parts(match):
    """The single matches that a chain stands for: one for each combination of the entries of its lists."""
    first = (match.get("destination_port"), str(match.get("prefix_ranges")), match.get("transport_protocol"))
    for name in match.get("server_names", [None]):
        for protocol in match.get("application_protocols", [None]):
            yield (*first, name, protocol)


def _chain(name, match):
    config = {
        "@type": f"{_TYPE}.network.direct_response.v3.Config",
        "response": {"inline_string": name},
    }
    filters = [{"name": "envoy.filters.network.direct_response", "typed_config": config}]
    return {"name": name, "filter_chain_match": match, "filters": filters}


def _inspector(name, kind):
    config = {"@type": f"{_TYPE}.listener.{name}.v3.{kind}"}
    return {"name": f"envoy.filters.listener.{name}", "typed_config": config}


def answer_of(address, port, spoken, hello=None):
    """The name of the chain that took a connection; empty where none did."""
    first = {
        "http/1.1": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "h2c": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        "bytes": b"\x00\x01\x02\x03 some bytes that are nothing\r\n\r\n",
    }.get(spoken) or client_hello(*hello)
    with socket.create_connection((address, port), timeout=20) as connection:
        connection.sendall(first)
        said = b""
        try:
            while piece := connection.recv(1024):
                said += piece
        except ConnectionError:
            pass  # closed on what it had not read yet
    return said.decode()


def client_hello(name, alpn):
    """The first bytes of a TLS client that asks for `name` and offers `alpn`."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name or None)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("unreachable")
