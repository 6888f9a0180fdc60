"""Whom the trace says that filters let in, Envoy lets in, and by the same policy.

`ISTHMUS_EXAMPLES=100` makes it a long run: an example is an Envoy with `LISTENERS` of other rules, each with `CALLS`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from drawn import guards
from fakes.guarded_listeners import filters_of, guarded, held, rbac
from fakes.inbound_envoy import InboundEnvoy
from fakes.judgements import differences
from fakes.shares import in_shares
from isthmus.envoy.types import Listener
from isthmus.translate.trace.call import Call
from isthmus.translate.trace.walk import Side, trace

LISTENERS, CALLS = 8, 20
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


class World(NamedTuple):
    """An inbound listener, and calls that it captures."""

    listener: Listener
    calls: list[Call]

    def __repr__(self):
        return f"World of {len(self.calls)} calls"  # what differs names its own


@pytest.mark.parametrize("http", [True, False], ids=["requests", "bytes"])
@in_shares(2)
def test_rules_of_any_form_say_what_the_trace_says(share, http):
    """RBAC filters of all forms: permissions, principals, conditions, tried ones, several in a chain."""

    def listener(several):
        return guarded(
            [rbac(*each, http=http, name=f"rbac-{n}") for n, each in enumerate(several)], http=http
        )

    rules = guards.rules(http=http)
    chains = st.lists(st.tuples(st.none() | rules, st.none() | rules), min_size=1, max_size=2)
    calls = st.lists(guards.calls(http=http), min_size=CALLS, max_size=CALLS)
    world = st.builds(World, chains.map(listener), calls)

    @given(st.lists(world, min_size=LISTENERS, max_size=LISTENERS))
    def holds(worlds):
        must_agree(worlds)

    share.run(holds, UNSHRUNK)


def must_agree(worlds):
    """Raises where the trace of a call is not what an Envoy does that has the listener beside it."""
    envoy = InboundEnvoy(each.listener for each in worlds)
    with TemporaryDirectory() as folder, envoy.running(Path(folder)):
        for number, (listener, calls) in enumerate(worlds):
            for call in calls:
                found = trace(held(listener), call, Side.INBOUND)
                differing = differences(envoy.send(number, call), found)
                if differing:
                    pytest.fail(f"{differing}\n{call}\n{call!r}\n" + "\n".join(filters_of(listener)))
