"""Whom the trace says that filters let in, Envoy lets in, and by the same policy; and so Istio's documentation says.

`ISTHMUS_EXAMPLES=100` makes it a long run: an example is an Envoy with `LISTENERS`, each of
other policies and with `CALLS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from drawn import authorization_policies, guards
from fakes.authorization_oracle import lets_in
from fakes.guarded_listeners import filters_of, guarded, held, rbac
from fakes.inbound_envoy import InboundEnvoy, inbound_of
from fakes.judgements import differences
from fakes.judges import sitting
from fakes.shares import in_shares
from isthmus.envoy.types import Listener
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.trace.call import Call
from isthmus.translate.trace.walk import Side, trace

LISTENERS, CALLS = 8, 20
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


class World(NamedTuple):
    """An inbound listener, and calls that it captures."""

    listener: Listener
    calls: list[Call]
    documents: Sequence[dict] = ()  # of which the listener was made, if it was

    def __repr__(self):
        return f"World of {len(self.calls)} calls"  # what differs names its own


class Written(NamedTuple):
    """Policies, and calls to the workload for which they hold."""

    documents: list[dict]
    calls: list[Call]

    def __repr__(self):
        return f"Written of {len(self.calls)} calls"


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
    world = st.builds(World, chains.map(listener), calls, st.just(()))

    @given(st.lists(world, min_size=LISTENERS, max_size=LISTENERS))
    def holds(worlds):
        must_agree(worlds)

    share.run(holds, UNSHRUNK)


WORKLOAD = Proxy(
    kind=ProxyKind.SIDECAR,
    address=authorization_policies.ADDRESS,
    name="web-1",
    namespace="default",
    cluster=ClusterId("c"),
    labels=(("app", "web"), ("version", "v1")),
)


@in_shares(3)
def test_policies_let_in_whom_they_say(share):
    """AuthorizationPolicies of all keys, several together, with tokens: in Envoy, and by an oracle."""
    calls = st.lists(authorization_policies.calls(), min_size=CALLS, max_size=CALLS)
    world = st.builds(Written, authorization_policies.worlds(), calls)
    served = authorization_policies.SERVED

    @given(st.lists(world, min_size=LISTENERS, max_size=LISTENERS))
    def holds(worlds):
        must_agree(
            [
                World(inbound_of(served, each.documents, WORKLOAD), each.calls, each.documents)
                for each in worlds
            ]
        )

    share.run(holds, UNSHRUNK)


@contextmanager
def envoy_with(worlds):
    """A running Envoy with their listeners, and with the providers that policies may ask."""
    with TemporaryDirectory() as folder, sitting() as upstreams:
        envoy = InboundEnvoy((each.listener for each in worlds), upstreams)
        with envoy.running(Path(folder)):
            yield envoy


def must_agree(worlds):
    """Raises where the trace of a call is not what an Envoy does that has the listener beside it."""
    with envoy_with(worlds) as envoy:
        for number, each in enumerate(worlds):
            for call in each.calls:
                found = trace(held(each.listener), call, Side.INBOUND)
                observed = envoy.send(number, call)
                differing = differences(observed, found)
                if each.documents and lets_in(each.documents, call) != observed.is_let_in:
                    differing.append(("the oracle says otherwise", observed, each.documents))
                if differing:
                    shown = "\n".join(filters_of(each.listener))
                    pytest.fail(f"{differing}\n{call}\n{call!r}\n{shown}")
