"""The trace never disagrees with Envoy: random requests through a real one, by routes of our own making.

`ISTHMUS_EXAMPLES=20000` makes it a long run; `ISTHMUS_SEED` draws other rules.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.ports import free_ports
from fakes.random_chains import ADDRESSES, NAMES, PROTOCOLS, SPOKEN, answer_of, listener_of
from fakes.random_rules import HEADERS, HOSTS, METHODS, PATHS, QUERIES, mesh_of
from fakes.running_envoy import Caller, echo, running_envoy
from isthmus.envoy.types import Cluster, HeaderValue, HttpConnectionManager, Listener, RouteConfiguration
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate import proto
from isthmus.translate.offline import read_case
from isthmus.translate.trace.call import Call, Hello, Request, Speech
from isthmus.translate.trace.chains import choose
from isthmus.translate.trace.held import made_for
from isthmus.translate.trace.listener_filters import seen
from isthmus.translate.trace.steps import Answer, Closed, Forward, Redirect
from isthmus.translate.trace.walk import Side, trace

EXAMPLES = int(os.environ.get("ISTHMUS_EXAMPLES", "200"))
SEED = int(os.environ.get("ISTHMUS_SEED", "1"))
LISTENERS = 24
SIDECAR = Proxy(
    kind=ProxyKind.SIDECAR, address="10.0.0.1", name="a", namespace="default", cluster=ClusterId("c")
)
GATEWAY = Proxy(
    kind=ProxyKind.ROUTER,
    address="10.0.0.9",
    name="g",
    namespace="default",
    cluster=ClusterId("c"),
    labels=(("istio", "gw"),),
)


def marked(routes):
    """The same routes, each saying in its answers which it is."""
    made = RouteConfiguration()
    made.CopyFrom(routes)
    for host in made.virtual_hosts:
        host.response_headers_to_add.add().header.MergeFrom(header("x-host", host.name))
        for index, route in enumerate(host.routes):
            route.response_headers_to_add.add().header.MergeFrom(header("x-route", str(index)))
            route.response_headers_to_add.add().header.MergeFrom(header("x-upstream", "%UPSTREAM_CLUSTER%"))
    return made


def header(key, value):
    return HeaderValue(key=key, value=value)


def on_loopback(listener, routes, port):
    """The listener with a socket of its own, and its routes inside."""
    made = Listener()
    made.CopyFrom(listener)
    made.name, made.stat_prefix = f"{listener.name} {port}", str(port)
    made.address.CopyFrom(proto.address("127.0.0.1", port))
    made.bind_to_port.value = True
    for chain in made.filter_chains:
        for each in chain.filters:
            if each.typed_config.type_url.endswith("HttpConnectionManager"):
                manager = HttpConnectionManager.FromString(each.typed_config.value)
                manager.route_config.CopyFrom(routes)
                each.typed_config.CopyFrom(proto.any_of(manager))
    return made


def upstreams_of(routes, port):
    """Every upstream that the routes name, leading to the application at `port`."""
    actions = [
        route.route for host in routes.virtual_hosts for route in host.routes if route.HasField("route")
    ]
    names = {
        name
        for action in actions
        for name in (action.cluster, *(c.name for c in action.weighted_clusters.clusters))
    }
    for name in sorted(names - {""}):
        made = Cluster(name=name, type="STATIC", connect_timeout=proto.seconds(5))
        made.load_assignment.cluster_name = name
        made.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(
            proto.address("127.0.0.1", port)
        )
        yield made


PLACES = {ProxyKind.SIDECAR: ("0.0.0.0_80", "80"), ProxyKind.ROUTER: ("0.0.0.0_8080", "http.8080")}
"""The listener and the routes that are asked, by kind of proxy."""
SIDES = {ProxyKind.SIDECAR: (Side.OUTBOUND, 80), ProxyKind.ROUTER: (Side.GATEWAY, 8080)}


class Compared:
    """What two proxies hold, and a real Envoy that holds the same."""

    def __init__(self, held, callers, chained):
        self._held, self._callers = held, callers
        self.chained = chained  # listeners with chains of all kinds

    def trace(self, kind, request):
        side, port = SIDES[kind]
        return trace(self._held[kind], Call(address="10.9.9.9", port=port, request=request), side)

    def send(self, kind, request):
        headers = [("host", request.host), *request.headers]
        return self._callers[kind].send(request.method, request.path, headers)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    generation = read_case(mesh_of(random.Random(SEED))).generation()
    held = {proxy.kind: made_for(generation, proxy) for proxy in (SIDECAR, GATEWAY)}
    assert not generation.findings, generation.findings
    ports = dict(zip(PLACES, free_ports(len(PLACES)), strict=True))
    with echo() as application:
        listeners, upstreams = [], {}
        for kind, (listener, routes) in PLACES.items():
            own = held[kind].routes[routes]
            listeners.append(on_loopback(held[kind].listeners[listener], marked(own), ports[kind]))
            upstreams |= {one.name: one for one in upstreams_of(own, application)}
        draw = random.Random(SEED)
        chained = [listener_of(draw, port) for port in free_ports(LISTENERS)]
        with running_envoy(tmp_path_factory.mktemp("envoy"), [*listeners, *chained], upstreams.values()):
            callers = {kind: Caller(port) for kind, port in ports.items()}
            yield Compared(held, callers, chained)
            for each in callers.values():
                each.close()


requests = st.builds(
    Request,
    method=st.sampled_from(METHODS),
    host=st.one_of(st.sampled_from(HOSTS), st.sampled_from(HOSTS).map(str.upper)),
    path=st.builds(
        str.__add__,
        st.lists(st.sampled_from(PATHS), min_size=1, max_size=3).map("".join),
        st.sampled_from(QUERIES),
    ),
    headers=st.lists(st.sampled_from(HEADERS), max_size=3, unique_by=lambda each: each[0]).map(tuple),
)


def said_by_envoy(answered):
    """What the real one did: virtual host, route, and what came of it."""
    where = (answered.headers.get("x-host"), answered.headers.get("x-route"))
    if answered.asked is not None:
        asked = answered.asked
        return (*where, "forward", answered.headers["x-upstream"], asked["host"], asked["path"])
    if "location" in answered.headers:
        return (*where, "redirect", answered.status, answered.headers["location"])
    return (*where, "answer", answered.status)


def said_by_trace(found):
    """All that the trace says may happen."""
    for branch in found.branches:
        route = branch.route
        where = (route.virtual_host, str(route.index)) if route else (None, None)
        match branch.action:
            case Forward(upstreams=several):
                yield from ((*where, "forward", one.name, one.host, one.path) for one in several)
            case Redirect(status=status, location=location):
                yield (*where, "redirect", status, location)
            case Answer(status=status):
                yield (*where, "answer", status)
            case Closed(why=why):
                yield (*where, "closed", why)


def without_host(said):
    """Envoy adds its virtual host's headers also where none of its routes matched: 404 is 404."""
    return (None, *said[1:]) if said[1] is None else said


@settings(max_examples=EXAMPLES, deadline=None)
@given(request=requests, kind=st.sampled_from(list(PLACES)))
def test_requests_go_where_the_trace_says(compared, request, kind):
    expected = list(said_by_trace(compared.trace(kind, request)))
    assert without_host(said_by_envoy(compared.send(kind, request))) in expected


connections = st.tuples(
    st.sampled_from(ADDRESSES),
    st.sampled_from(SPOKEN),
    st.tuples(
        st.sampled_from(NAMES), st.lists(st.sampled_from(PROTOCOLS), max_size=3, unique=True).map(tuple)
    ),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(connection=connections, number=st.integers(0, LISTENERS - 1))
def test_connections_are_taken_by_the_chain_that_the_trace_says(compared, connection, number):
    address, spoken, (name, alpn) = connection
    hello = Hello(sni=name.lower(), alpn=alpn) if spoken == "tls" else None
    speech = {"http/1.1": Speech.HTTP1, "h2c": Speech.HTTP2}.get(spoken, Speech.BYTES)
    listener = compared.chained[number]
    port = listener.address.socket_address.port_value
    call = Call(address=address, port=port, speech=speech, hello=hello, source="127.0.0.1")
    chosen = choose(listener, call, seen(listener, call))
    answered = answer_of(address, port, spoken, (name, alpn))
    assert answered == (chosen.name if chosen is not None else "")
