"""Which filter chain takes a connection: Envoy's order of precedence, one row a rule."""

from __future__ import annotations

import pytest

from isthmus.envoy.types import FilterChainMatch, Listener
from isthmus.translate.trace.call import Call, Hello, Speech, Untraceable
from isthmus.translate.trace.chains import choose
from isthmus.translate.trace.listener_filters import Seen, seen


def listener(default=True, **matches):
    made = Listener(name="l")
    for name, match in matches.items():
        made.filter_chains.add(name=name, filter_chain_match=FilterChainMatch(**match))
    if default:
        made.default_filter_chain.name = "default"
    return made


def ranges(text):
    address, _, length = text.partition("/")
    return [{"address_prefix": address, "prefix_len": {"value": int(length)}}]


TEN = ranges("10.0.0.0/8")
PORT_80 = {"destination_port": {"value": 80}}
ANY = {"transport_protocol": ""}
TLS = Seen("tls", "a.example.com", ("h2", "http/1.1"))


@pytest.mark.parametrize(
    ("matches", "found", "chosen"),
    [
        ({"of_port": PORT_80, "of_sni": {"server_names": ["a.example.com"]}}, TLS, "of_port"),
        ({"of_port": {"destination_port": {"value": 81}}, "any": ANY}, TLS, "any"),
        ({"wide": {"prefix_ranges": TEN}, "near": {"prefix_ranges": ranges("10.1.0.0/16")}}, TLS, "near"),
        ({"else": {"prefix_ranges": ranges("192.168.0.0/16")}}, TLS, "default"),
        ({"wide": {"server_names": ["*.com"]}, "near": {"server_names": ["*.example.com"]}}, TLS, "near"),
        ({"wild": {"server_names": ["*.example.com"]}, "exact": {"server_names": ["a.example.com"]}}, TLS, "exact"),
        ({"other": {"server_names": ["b.example.com"]}}, TLS, "default"),
        ({"sub": {"server_names": ["*.a.example.com"]}}, TLS, "default"),
        ({"tls": {"transport_protocol": "tls"}, "any": ANY}, TLS, "tls"),
        ({"raw": {"transport_protocol": "raw_buffer"}, "any": ANY}, Seen(), "raw"),
        ({"h1": {"application_protocols": ["http/1.1"]}, "h2": {"application_protocols": ["h2"]}}, TLS, "h2"),
        ({"h1": {"application_protocols": ["http/1.1"]}, "any": ANY}, TLS, "h1"),
        ({"istio": {"application_protocols": ["istio"]}, "any": ANY}, TLS, "any"),
        # What is more specific at an earlier step is taken, and nothing comes back from there.
        ({"port": {**PORT_80, "server_names": ["b.example.com"]}, "any": ANY}, TLS, "default"),
        ({"name": {"server_names": ["a.example.com"], "transport_protocol": "raw_buffer"}, "any": ANY}, TLS, "default"),
    ],
)  # fmt: skip
def test_the_most_specific_chain_of_the_first_step_that_differs_is_taken(matches, found, chosen):
    call = Call(address="10.1.2.3", port=80)
    assert choose(listener(**matches), call, found).name == chosen


def test_a_connection_that_no_chain_takes_has_none():
    call = Call(address="10.1.2.3", port=80)
    assert choose(listener(default=False, tls={"transport_protocol": "tls"}), call, Seen()) is None


@pytest.mark.parametrize(
    ("source", "chosen"), [("10.0.0.7", "near"), ("127.0.0.1", "default"), ("", "default")]
)
def test_callers_are_told_apart_by_their_addresses(source, chosen):
    made = listener(near={"source_prefix_ranges": ranges("10.0.0.0/24")})
    assert choose(made, Call(address="10.1.2.3", port=80, source=source), Seen()).name == chosen


def test_a_tree_of_matchers_is_not_followed():
    made = listener()
    made.filter_chain_matcher.SetInParent()
    with pytest.raises(Untraceable, match="filter_chain_matcher"):
        choose(made, Call(address="10.1.2.3", port=80), Seen())


def inspecting(*filters):
    made = Listener(name="l")
    for name in filters:
        made.listener_filters.add(name=f"envoy.filters.listener.{name}")
    return made


HELLO = Hello(sni="A.example.com", alpn=("istio",))


@pytest.mark.parametrize(
    ("filters", "speech", "hello", "found"),
    [
        ([], Speech.HTTP1, None, Seen()),
        ([], Speech.BYTES, HELLO, Seen()),
        (["http_inspector"], Speech.HTTP1, None, Seen(protocols=("http/1.1",))),
        (["http_inspector"], Speech.HTTP2, None, Seen(protocols=("h2c",))),
        (["http_inspector"], Speech.BYTES, None, Seen()),
        (["http_inspector"], Speech.HTTP1, HELLO, Seen()),
        (["http_inspector"], Speech.SILENCE, None, Seen(timed_out=True)),
        (["original_dst"], Speech.SILENCE, None, Seen()),
        (["tls_inspector"], Speech.HTTP1, HELLO, Seen("tls", "a.example.com", ("istio",))),
        (["tls_inspector", "http_inspector"], Speech.HTTP1, HELLO, Seen("tls", "a.example.com", ("istio",))),
        (["tls_inspector", "http_inspector"], Speech.HTTP1, None, Seen(protocols=("http/1.1",))),
    ],
)
def test_listener_filters_find_out_what_is_spoken(filters, speech, hello, found):
    assert seen(inspecting(*filters), Call(address="", port=80, speech=speech, hello=hello)) == found


def test_a_listener_filter_may_be_off_for_a_port():
    made = inspecting("http_inspector")
    off = made.listener_filters[0].filter_disabled.not_match.destination_port_range
    off.start, off.end = 80, 81
    assert seen(made, Call(address="", port=80)).protocols == ("http/1.1",)
    assert seen(made, Call(address="", port=81)).protocols == ()


def test_an_unknown_listener_filter_is_not_passed_over():
    with pytest.raises(Untraceable, match="lua"):
        seen(inspecting("lua"), Call(address="", port=80))
