"""How the value of a MERGE is laid over what is there."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import Cluster, Filter, Listener, Route
from isthmus.translate.patch.merge import merge

TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
ECHO = "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"


def read(type_, tree):
    return json_format.ParseDict(tree, type_(), descriptor_pool=pool())


def laid(type_, below, above, *, replace_lists=False):
    target = read(type_, below)
    merge(target, read(type_, above), replace_lists=replace_lists)
    return json_format.MessageToDict(target, preserving_proto_field_name=True, descriptor_pool=pool())


def test_a_duration_is_replaced_whole():
    found = laid(Cluster, {"connect_timeout": "1.5s"}, {"connect_timeout": "3s"})
    assert found == {"connect_timeout": "3s"}


def test_false_overrules_true_where_a_value_is_wrapped():
    found = laid(Listener, {"use_original_dst": True}, {"use_original_dst": False})
    assert found == {"use_original_dst": False}


def test_lists_grow_or_are_replaced():
    below, above = {"response_headers_to_remove": ["a"]}, {"response_headers_to_remove": ["b"]}
    assert laid(Route, below, above) == {"response_headers_to_remove": ["a", "b"]}
    assert laid(Route, below, above, replace_lists=True) == above


def test_another_choice_of_several_takes_the_place_of_the_first():
    found = laid(Route, {"redirect": {"host_redirect": "a"}}, {"direct_response": {"status": 204}})
    assert found == {"direct_response": {"status": 204}}


def test_packed_messages_of_one_type_are_merged_inside():
    below = {"name": "a", "typed_config": {"@type": TCP, "stat_prefix": "x", "cluster": "one"}}
    above = {"typed_config": {"@type": TCP, "cluster": "two", "idle_timeout": "5s"}}
    found = laid(Filter, below, above)
    assert found["typed_config"] == {
        "@type": TCP,
        "stat_prefix": "x",
        "cluster": "two",
        "idle_timeout": "5s",
    }


def test_packed_messages_of_two_types_are_not():
    below = {"name": "a", "typed_config": {"@type": TCP, "stat_prefix": "x", "cluster": "one"}}
    with pytest.raises(ValueError, match=r"there is a .*TcpProxy, and the value is a .*Echo \(hint: REPLACE"):
        laid(Filter, below, {"typed_config": {"@type": ECHO}})


def test_a_transport_socket_of_another_name_takes_the_place_of_the_first():
    raw = "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
    tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    below = {"transport_socket": {"name": "tls", "typed_config": {"@type": tls, "sni": "a"}}}
    above = {"transport_socket": {"name": "raw", "typed_config": {"@type": raw}}}
    assert laid(Cluster, below, above) == above


def test_entries_of_maps_are_replaced_one_by_one():
    below = {"metadata": {"filter_metadata": {"a": {"x": 1.0}, "b": {"y": 1.0}}}}
    above = {"metadata": {"filter_metadata": {"a": {"z": 2.0}}}}
    found = laid(Cluster, below, above)
    assert found["metadata"]["filter_metadata"] == {"a": {"z": 2.0}, "b": {"y": 1.0}}
