"""The trace never disagrees with Envoy: drawn calls, through a real Envoy that holds what drawn rules come to.

`ISTHMUS_EXAMPLES=200` makes it a long run: of as many meshes, each with `CALLS` calls.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from drawn import connection_rules, gateways
from drawn.calls import captured, connections
from drawn.worlds import SERVED, case_of, sidecar_worlds
from fakes.compared import ROUTER, must_agree
from fakes.recording_app import Applications
from fakes.shares import in_shares
from isthmus.translate.trace.walk import Side

CALLS = 30
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""Each attempt to shrink takes a start of Envoy: what is found names the call, and that is enough."""


@pytest.fixture(scope="module")
def applications():
    with Applications().running() as running:
        yield running


@in_shares(6)
def test_requests_of_sidecars_go_where_the_trace_says(share, applications):
    """Also what they become on the way, how often they are tried, who else gets them, and what the answer says."""

    @given(st.data())
    def holds(data):
        documents = data.draw(sidecar_worlds())
        calls = [data.draw(captured(documents)) for _ in range(CALLS)]
        must_agree(applications, case_of(SERVED, documents), calls)

    share.run(holds, UNSHRUNK)


@in_shares(4)
def test_connections_of_sidecars_go_where_the_trace_says(share, applications):
    """Also those of which nobody knows what they are, to addresses that nobody knows."""

    @given(st.data())
    def holds(data):
        documents = data.draw(connection_rules.worlds())
        calls = [data.draw(connections(documents)) for _ in range(CALLS)]
        must_agree(applications, case_of(connection_rules.SERVED, documents), calls)

    share.run(holds, UNSHRUNK)


@in_shares(4)
def test_calls_at_gateways_go_where_the_trace_says(share, applications):
    """By HTTP, in TLS that ends there or is passed through, by neither; with and without a certificate."""

    @given(st.data())
    def holds(data):
        documents = data.draw(gateways.worlds())
        calls = [data.draw(gateways.calls(documents)) for _ in range(CALLS)]
        served = [*SERVED, *connection_rules.SERVED]
        must_agree(applications, case_of(served, documents), calls, ROUTER, Side.GATEWAY)

    share.run(holds, UNSHRUNK)
