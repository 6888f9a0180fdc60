"""The trace never disagrees with Envoy: drawn calls, through a real one that holds what drawn objects come to.

`ISTHMUS_EXAMPLES=100` makes it a long run: of 100 meshes for each kind of callers, each with
`CALLS` calls. What is drawn is in `drawn`; how it is compared, and what of it, in `fakes.compared`.
"""

from __future__ import annotations

import random
from functools import partial
from typing import NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from drawn import connection_rules, gateway_api_rules, gateways
from drawn.calls import captured, connections
from drawn.terms import on_terms, with_sidecars
from drawn.worlds import SERVED, case_of, sidecar_worlds
from fakes.compared import INGRESS, OF_THE_API, ROUTER, SIDECAR, must_agree
from fakes.ports import free_ports
from fakes.random_chains import ADDRESSES, NAMES, PROTOCOLS, SPOKEN, answer_of, listener_of
from fakes.recording_app import Applications
from fakes.running_envoy import running_envoy
from fakes.shares import in_shares
from isthmus.model.proxy import Proxy
from isthmus.translate.trace.call import Call, Hello, Speech
from isthmus.translate.trace.chains import choose
from isthmus.translate.trace.listener_filters import seen
from isthmus.translate.trace.walk import Side

CALLS = 30
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each attempt to shrink takes a start of Envoy: what is found names the call, and that is enough."""


class Kind(NamedTuple):
    """A kind of calls: what is written and served, who calls, and by which proxy."""

    worlds: st.SearchStrategy
    served: list
    calls: object  # the strategy of calls, by the documents that were drawn
    proxy: Proxy = SIDECAR
    side: Side = Side.OUTBOUND


api = gateway_api_rules
KINDS = {
    "requests-of-sidecars": Kind(sidecar_worlds(), SERVED, captured),
    "connections-of-sidecars": Kind(connection_rules.worlds(), connection_rules.SERVED, connections),
    "at-gateways": Kind(
        gateways.worlds(), [*SERVED, *connection_rules.SERVED], gateways.calls, ROUTER, Side.GATEWAY
    ),
    "by-routes-of-services": Kind(api.worlds(mesh=True), SERVED, partial(api.calls, mesh=True)),
    "by-routes-of-gateways": Kind(
        api.worlds(mesh=False), SERVED, partial(api.calls, mesh=False), OF_THE_API, Side.GATEWAY
    ),
    "by-ingresses": Kind(api.ingresses(), SERVED, api.ingress_calls, INGRESS, Side.GATEWAY),
}


@pytest.fixture(scope="module")
def applications():
    with Applications().running() as running:
        yield running


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@in_shares(4)
def test_calls_go_where_the_trace_says(share, applications, kind):
    """To which endpoint, with which route, path, host and headers; how often, who else, and what is answered."""

    worlds, served = on_terms(kind.worlds), with_sidecars(kind.served)

    @given(st.data())
    def holds(data):
        documents = data.draw(worlds)
        rules = [each for each in documents if each["kind"] != "PeerAuthentication"]
        calls = [data.draw(kind.calls(rules)) for _ in range(CALLS)]
        must_agree(applications, case_of(served, documents), calls, kind.proxy, kind.side)

    share.run(holds, UNSHRUNK)


LISTENERS = 24


@pytest.fixture(scope="module")
def chained(tmp_path_factory):
    """Listeners with filter chains of all kinds, beyond what we ever send, and an Envoy that has them."""
    draw = random.Random(1)
    listeners = [listener_of(draw, port) for port in free_ports(LISTENERS)]
    with running_envoy(tmp_path_factory.mktemp("envoy"), listeners, ()):
        yield listeners


spoken = st.tuples(
    st.sampled_from(ADDRESSES),
    st.sampled_from(SPOKEN),
    st.tuples(
        st.sampled_from(NAMES), st.lists(st.sampled_from(PROTOCOLS), max_size=3, unique=True).map(tuple)
    ),
)


@settings(max_examples=200, deadline=None)
@given(connection=spoken, number=st.integers(0, LISTENERS - 1))
def test_connections_are_taken_by_the_chain_that_the_trace_says(chained, connection, number):
    address, first, (name, alpn) = connection
    hello = Hello(sni=name.lower(), alpn=alpn) if first == "tls" else None
    speech = {"http/1.1": Speech.HTTP1, "h2c": Speech.HTTP2}.get(first, Speech.BYTES)
    listener = chained[number]
    port = listener.address.socket_address.port_value
    call = Call(address=address, port=port, speech=speech, hello=hello, source="127.0.0.1")
    chosen = choose(listener, call, seen(listener, call))
    answered = answer_of(address, port, first, (name, alpn))
    assert answered == (chosen.name if chosen is not None else "")
