"""The trace never disagrees with Envoy: drawn calls, through a real Envoy that holds what drawn rules come to.

`ISTHMUS_EXAMPLES=200` makes it a long run: of as many meshes, each with `CALLS` calls.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from drawn.calls import captured
from drawn.worlds import sidecar_worlds
from fakes.compared import must_agree
from fakes.recording_app import Applications
from fakes.shares import in_shares

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
        must_agree(applications, documents, calls)

    share.run(holds, UNSHRUNK)
