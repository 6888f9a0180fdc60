"""Shares of endpoints by priority, locality and weight, and the transport sockets that are chosen for them."""

from __future__ import annotations

import pytest

from isthmus.envoy.types import Cluster, ClusterLoadAssignment, FilterChain
from isthmus.model.identity import SpiffeId
from isthmus.translate import transport as made
from isthmus.translate.trace.call import Hello, Speech
from isthmus.translate.trace.endpoint_shares import endpoint_shares
from isthmus.translate.trace.steps import Tls
from isthmus.translate.trace.transport import ending_at, expected, refusal, towards
from isthmus.translate.trace.upstream_view import spoken_to

ME = SpiffeId("cluster.local", "default", "reviews")


def upstream(by_locality=False, panic=None):
    found = Cluster(name="u", type="EDS")
    if by_locality:
        found.common_lb_config.locality_weighted_lb_config.SetInParent()
    if panic is not None:
        found.common_lb_config.healthy_panic_threshold.value = panic
    return found


def group(name, *endpoints, priority=0, weight=0):
    """Endpoints as (port, weight, health)."""
    several = []
    for port, own, health in endpoints:
        address = {"socket_address": {"address": "10.0.0.1", "port_value": port}}
        several.append(
            {
                "endpoint": {"address": address},
                "load_balancing_weight": {"value": own},
                "health_status": health,
            }
        )
    return {
        "locality": {"region": name},
        "lb_endpoints": several,
        "priority": priority,
        "load_balancing_weight": {"value": weight},
    }


def shares(cluster, *groups):
    found = endpoint_shares(cluster, ClusterLoadAssignment(endpoints=groups), ())
    return {int(one.address.rpartition(":")[2]): round(one.share, 2) for one in found}


UP, DOWN = 0, 2  # UNKNOWN counts as healthy; UNHEALTHY


def test_endpoints_share_by_weight():
    assert shares(upstream(), group("eu", (1, 1, UP), (2, 3, UP))) == {1: 25, 2: 75}


def test_localities_count_only_where_that_is_asked():
    groups = group("eu", (1, 1, UP), weight=9), group("us", (2, 1, UP), weight=1)
    assert shares(upstream(), *groups) == {1: 50, 2: 50}
    assert shares(upstream(by_locality=True), *groups) == {1: 90, 2: 10}


def test_the_nearest_priority_gets_all_while_it_can_take_it():
    near, far = group("eu", (1, 1, UP), (2, 1, UP)), group("us", (3, 1, UP), priority=1)
    assert shares(upstream(), near, far) == {1: 50, 2: 50, 3: 0}


def test_what_the_nearest_cannot_take_goes_to_the_next():
    near, far = group("eu", (1, 1, UP), (2, 1, DOWN)), group("us", (3, 1, UP), priority=1)
    assert shares(upstream(), near, far) == {1: 70, 2: 0, 3: 30}


def test_all_goes_to_the_next_when_the_nearest_is_gone():
    near, far = group("eu", (1, 1, DOWN)), group("us", (3, 1, UP), priority=1)
    assert shares(upstream(panic=0), near, far) == {1: 0, 3: 100}


def test_too_few_healthy_ones_mean_panic_where_that_is_not_switched_off():
    groups = group("eu", (1, 1, UP), (2, 1, DOWN), (3, 1, DOWN), (4, 1, DOWN))
    assert shares(upstream(), groups) == {1: 25, 2: 25, 3: 25, 4: 25}
    assert shares(upstream(panic=0), groups) == {1: 100, 2: 0, 3: 0, 4: 0}


def test_all_priorities_share_by_number_when_none_of_their_endpoints_is_well():
    near, far = group("eu", (1, 1, DOWN)), group("us", (2, 1, DOWN), (3, 1, DOWN), priority=1)
    assert shares(upstream(panic=1), near, far) == {1: 33.33, 2: 33.33, 3: 33.33}
    assert shares(upstream(panic=0), near, far) == {1: 0, 2: 0, 3: 0}


def test_nobody_to_call_is_nothing():
    assert shares(upstream()) == {}


def endpoint(mode=None):
    one = ClusterLoadAssignment(endpoints=[group("eu", (1, 1, UP))]).endpoints[0].lb_endpoints[0]
    if mode:
        one.metadata.filter_metadata["envoy.transport_socket_match"].update({"tlsMode": mode})
    return one


def test_endpoints_with_a_sidecar_get_mutual_tls_and_others_plain_text():
    cluster = upstream()
    cluster.transport_socket_matches.extend(made.automatic(made.mutual_upstream([ME], "sni", ("istio",))))
    mutual = Tls(mode="mutual", sni="sni", alpn=("istio",), expects=(str(ME),))
    assert towards(cluster, endpoint("istio")) == mutual
    assert towards(cluster, endpoint()) == Tls()


def test_a_connection_may_ask_to_offer_something_else():
    cluster = upstream()
    cluster.transport_socket.CopyFrom(made.mutual_upstream([], "sni", ("istio",)))
    assert towards(cluster, endpoint(), ("h2",)).alpn == ("h2",)


def test_an_upstream_without_a_socket_is_plain_text():
    assert towards(upstream(), endpoint("istio")) == Tls()


def chain():
    found = FilterChain()
    found.transport_socket.CopyFrom(made.mutual_downstream(("cluster.local",)))
    return found


@pytest.mark.parametrize(
    ("hello", "why"),
    [
        (Hello(identity=str(ME)), ""),
        (None, "the caller speaks no TLS"),
        (Hello(), "the caller shows no certificate"),
        (Hello(identity="spiffe://elsewhere/ns/a/sa/b"),
         "the caller is spiffe://elsewhere/ns/a/sa/b, expected is spiffe://cluster.local/*"),
    ],
)  # fmt: skip
def test_a_handshake_fails_without_the_right_certificate(hello, why):
    assert refusal(ending_at(chain()), hello) == why


def test_where_no_tls_ends_none_is_refused():
    assert refusal(ending_at(FilterChain()), None) == ""


def test_a_name_is_expected_exactly_or_by_its_beginning():
    assert expected(Tls(expects=("spiffe://a/*",)), "spiffe://a/b")
    assert expected(Tls(expects=("x", "spiffe://a/b")), "spiffe://a/b")
    assert not expected(Tls(expects=("spiffe://a/b",)), "spiffe://a/bc")
    assert expected(Tls(), "anyone")


def options(**tree):
    from isthmus.envoy.types import UpstreamHttpProtocolOptions
    from isthmus.translate import proto

    cluster = upstream()
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster.typed_extension_protocol_options[name].CopyFrom(proto.any_of(UpstreamHttpProtocolOptions(**tree)))
    return cluster


@pytest.mark.parametrize(
    ("cluster", "speech", "spoken"),
    [
        (upstream(), Speech.HTTP2, Speech.HTTP1),
        (options(explicit_http_config={"http2_protocol_options": {}}), Speech.HTTP1, Speech.HTTP2),
        (options(explicit_http_config={"http_protocol_options": {}}), Speech.HTTP2, Speech.HTTP1),
        (options(use_downstream_protocol_config={}), Speech.HTTP2, Speech.HTTP2),
        (upstream(), Speech.BYTES, Speech.BYTES),
    ],
)
def test_the_upstream_decides_which_http_is_spoken(cluster, speech, spoken):
    assert spoken_to(cluster, speech) is spoken
