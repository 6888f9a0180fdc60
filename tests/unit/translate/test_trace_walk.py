"""The walk as a whole: which listener, and what filters make of a call."""

from __future__ import annotations

import pytest

from isthmus.envoy.types import (
    HttpConnectionManager,
    Listener,
    NetworkSetFilterState,
    RouteConfiguration,
    TcpProxy,
)
from isthmus.translate import proto
from isthmus.translate.trace.call import Call, Request, Speech, Untraceable
from isthmus.translate.trace.held import Held
from isthmus.translate.trace.steps import Answer, Closed, Forward, Redirect
from isthmus.translate.trace.walk import Side, trace

ROUTE = {"match": {"prefix": "/"}, "route": {"cluster": "u"}}


def listener(name, address, port, *filters, captures=False):
    made = Listener(name=name, address=proto.address(address, port))
    made.use_original_dst.value = captures
    made.bind_to_port.value = captures
    chain = made.default_filter_chain
    for each in filters:
        kind = each if isinstance(each, str) else each.DESCRIPTOR.name
        own = chain.filters.add(name=f"envoy.filters.network.{_NAMES.get(kind, kind)}")
        if not isinstance(each, str):
            own.typed_config.CopyFrom(proto.any_of(each))
    return made


_NAMES = {
    "TcpProxy": "tcp_proxy",
    "HttpConnectionManager": "http_connection_manager",
    "Config": "set_filter_state",
}


def http(routes=None, **more):
    made = HttpConnectionManager(stat_prefix="h", **more)
    if routes:
        made.rds.route_config_name = routes
    return made


def held(*listeners, **routes):
    first = listener("virtualOutbound", "0.0.0.0", 15001, TcpProxy(cluster="elsewhere"), captures=True)
    return Held(
        listeners={each.name: each for each in (first, *listeners)},
        routes={name: RouteConfiguration(name=name, virtual_hosts=[host]) for name, host in routes.items()},
        upstreams={},
        assignments={},
    )


def call(address="10.0.0.1", port=80, **more):
    request = None if more.get("speech", Speech.HTTP1) is Speech.BYTES else Request(host="h")
    return Call(address=address, port=port, request=more.pop("request", request), **more)


def upstreams(found):
    return [one.name for _, one in found.forwards]


EXACT = listener("exact", "10.0.0.1", 80, TcpProxy(cluster="exact"))
WILD = listener("wild", "0.0.0.0", 80, TcpProxy(cluster="wild"))


@pytest.mark.parametrize(
    ("address", "port", "taker"),
    [
        ("10.0.0.1", 80, "exact"),
        ("10.0.0.2", 80, "wild"),
        ("", 80, "wild"),
        ("10.0.0.1", 81, "elsewhere"),
        ("::1", 80, "elsewhere"),
        ("10.0.0.1", 15001, "elsewhere"),
    ],
)
def test_a_captured_call_goes_to_the_listener_of_its_address(address, port, taker):
    found = trace(held(EXACT, WILD), call(address, port, speech=Speech.BYTES), Side.OUTBOUND)
    assert upstreams(found) == [taker]


def test_a_gateway_has_only_what_has_a_socket():
    own = listener("own", "0.0.0.0", 8080, TcpProxy(cluster="own"), captures=True)
    at = held(own, WILD)
    assert upstreams(trace(at, call(port=8080, speech=Speech.BYTES), Side.GATEWAY)) == ["own"]
    (branch,) = trace(at, call(port=80, speech=Speech.BYTES), Side.GATEWAY).branches
    assert isinstance(branch.action, Closed)


def test_a_proxy_without_listeners_takes_nothing():
    nothing = Held(listeners={}, routes={}, upstreams={}, assignments={})
    for side in Side:
        (branch,) = trace(nothing, call(), side).branches
        assert isinstance(branch.action, Closed)


def test_bytes_are_spread_by_weight():
    proxy = TcpProxy(weighted_clusters={"clusters": [{"name": "a", "weight": 1}, {"name": "b", "weight": 3}]})
    found = trace(held(listener("l", "0.0.0.0", 80, proxy)), call(speech=Speech.BYTES), Side.OUTBOUND)
    assert [(one.name, share) for share, one in found.forwards] == [("a", 25), ("b", 75)]


HOST = {"name": "h", "domains": ["h"], "routes": [ROUTE]}


def test_requests_follow_the_routes_that_the_listener_names():
    at = held(listener("l", "0.0.0.0", 80, http("r")), r=HOST)
    found = trace(at, call(), Side.OUTBOUND)
    assert upstreams(found) == ["u"]
    assert found.branches[0].route.virtual_host == "h"
    other = trace(at, call(request=Request(host="other")), Side.OUTBOUND)
    assert other.branches[0].action == Answer(status=404, why="no virtual host for it")


def test_routes_that_have_not_come_are_waited_for():
    found = trace(held(listener("l", "0.0.0.0", 80, http("r"))), call(), Side.OUTBOUND)
    assert found.branches[0].action == Closed(why="the listener waits for its routes r")


@pytest.mark.parametrize("speech", [Speech.BYTES, Speech.SILENCE])
def test_what_is_no_http_ends_where_http_is_expected(speech):
    at = held(listener("l", "0.0.0.0", 80, http("r")), r=HOST)
    found = trace(at, call(speech=speech, request=None), Side.OUTBOUND)
    assert isinstance(found.branches[0].action, Closed)


def test_hosts_that_are_for_tls_only_redirect():
    at = held(listener("l", "0.0.0.0", 80, http("r")), r={**HOST, "require_tls": "ALL"})
    found = trace(at, call(request=Request(host="h", path="/x?y")), Side.OUTBOUND)
    why = "the gateway's server takes https alone"
    assert found.branches[0].action == Redirect(status=301, location="https://h/x?y", why=why)
    assert found.near_misses == ()


def test_an_unknown_method_is_refused_over_http1_only():
    at = held(listener("l", "0.0.0.0", 80, http("r")), r=HOST)
    fetch = Request(host="h", method="FETCH")
    refused = trace(at, call(request=fetch), Side.OUTBOUND)
    assert refused.branches[0].action.status == 400
    taken = trace(at, call(request=fetch, speech=Speech.HTTP2), Side.OUTBOUND)
    assert isinstance(taken.branches[0].action, Forward)


def test_filters_that_are_not_known_are_named():
    types = "type.googleapis.com/envoy.extensions.filters.http"
    filters = [
        {"name": "my.cors", "typed_config": {"type_url": f"{types}.lua.v3.Lua"}},
        {"name": "over-ecds"},
        {"name": "no-fault", "typed_config": {"type_url": f"{types}.fault.v3.HTTPFault"}},
        {"name": "fault", "typed_config": {"type_url": f"{types}.fault.v3.HTTPFault", "value": b"x"}},
        {"name": "the-last", "typed_config": {"type_url": f"{types}.router.v3.Router"}},
    ]
    at = held(listener("l", "0.0.0.0", 80, "rbac", http("r", http_filters=filters)), r=HOST)
    found = trace(at, call(), Side.OUTBOUND)
    assert found.unexamined == ("envoy.filters.network.rbac", "my.cors", "over-ecds", "fault")


def test_a_last_filter_that_is_not_known_ends_the_trace():
    with pytest.raises(Untraceable, match="redis_proxy"):
        trace(held(listener("l", "0.0.0.0", 80, "redis_proxy")), call(), Side.OUTBOUND)


def test_a_filter_may_change_what_is_offered_by_alpn():
    from isthmus.envoy.types import Cluster
    from isthmus.translate.network_filters import set_alpn
    from isthmus.translate.transport import mutual_upstream

    config = NetworkSetFilterState.FromString(set_alpn.offer(("istio-h2",)).typed_config.value)
    at = held(listener("l", "0.0.0.0", 80, config, TcpProxy(cluster="u")))
    upstream = Cluster(name="u", type="ORIGINAL_DST", transport_socket=mutual_upstream([], "sni", ("istio",)))
    at.upstreams["u"] = upstream
    ((_, one),) = trace(at, call(speech=Speech.BYTES), Side.OUTBOUND).forwards
    assert one.endpoints[0].tls.alpn == ("istio-h2",)
    assert one.endpoints[0].address == "10.0.0.1:80"
