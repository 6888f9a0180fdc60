"""Envoy's rules over messages: each broken rule is found where it is."""

from __future__ import annotations

import pytest

from isthmus.envoy.rules import violations
from isthmus.envoy.types import (
    Any,
    Cluster,
    ClusterLoadAssignment,
    CommonTlsContext,
    HeaderValue,
    Listener,
    RouteConfiguration,
    RouteMatch,
    Struct,
    TlsParameters,
    UpstreamTlsContext,
)


def paths(message):
    return [violation.path for violation in violations(message)]


def test_a_sound_message_breaks_no_rule():
    assert violations(Cluster(name="a", connect_timeout={"seconds": 1})) == []


def test_an_empty_name_is_found():
    assert [tuple(found) for found in violations(Cluster())] == [("name", "must be at least 1 long")]


def test_a_number_that_is_no_value_of_the_enum_is_found():
    assert paths(Cluster(name="a", lb_policy=77)) == ["lb_policy"]


@pytest.mark.parametrize("nanos, broken", [(0, ["connect_timeout"]), (1, [])])
def test_durations_are_compared_in_seconds(nanos, broken):
    assert paths(Cluster(name="a", connect_timeout={"nanos": nanos})) == broken


def test_a_wrapper_is_compared_by_its_value_and_only_where_it_is_set():
    assert paths(Cluster(name="a", per_connection_buffer_limit_bytes={"value": 1})) == []
    assignment = ClusterLoadAssignment(cluster_name="a")
    assignment.endpoints.add(load_balancing_weight={"value": 0}, priority=129)
    assert sorted(paths(assignment)) == ["endpoints[0].load_balancing_weight", "endpoints[0].priority"]


def test_required_parts_and_empty_lists_are_found_deep_down():
    found = paths(RouteConfiguration(virtual_hosts=[{"name": "", "domains": [], "routes": [{}]}]))
    assert sorted(found) == [
        "virtual_hosts[0].domains",
        "virtual_hosts[0].name",
        "virtual_hosts[0].routes[0].action",
        "virtual_hosts[0].routes[0].match",
    ]


def test_packed_messages_are_opened():
    packed = Any()
    packed.Pack(UpstreamTlsContext(sni="x" * 300))
    cluster = Cluster(name="a", transport_socket={"name": "tls", "typed_config": packed})
    assert [tuple(found) for found in violations(cluster)] == [
        ("transport_socket.typed_config.sni", "must be at most 255 bytes long")
    ]


def test_a_packed_message_that_envoy_does_not_know_is_found():
    packed = Any(type_url="type.googleapis.com/istio.Unknown")
    listener = Listener(name="a")
    listener.filter_chains.add().filters.add(name="x").typed_config.CopyFrom(packed)
    assert [tuple(found) for found in violations(listener)] == [
        ("filter_chains[0].filters[0].typed_config", "Envoy does not know type.googleapis.com/istio.Unknown")
    ]


def test_values_of_maps_are_walked():
    cluster = Cluster(name="a")
    cluster.typed_extension_protocol_options["x"].Pack(UpstreamTlsContext(sni="x" * 300))
    assert paths(cluster) == ["typed_extension_protocol_options['x'].sni"]


def test_header_names_must_not_split_lines():
    assert paths(HeaderValue(key="x\n", value="fine")) == ["key"]


def test_messages_that_hold_themselves_are_walked_to_their_end():
    metadata = Struct()
    metadata.update({"a": {"b": [1, {"c": None}]}})
    assert violations(metadata) == []


def test_a_message_without_rules_breaks_none():
    tls = CommonTlsContext(tls_params=TlsParameters(tls_minimum_protocol_version="TLSv1_2"))
    assert violations(tls) == []


def test_what_is_required_of_a_choice_is_not_asked_of_the_others():
    assert violations(RouteMatch(prefix="/")) == []
    assert paths(RouteMatch(safe_regex={})) == ["safe_regex.regex"]
