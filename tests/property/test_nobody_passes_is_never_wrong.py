"""Where it is said of rules that they let no connection in, they let none in: who is let in must not wait for ever."""

from __future__ import annotations

from google.protobuf import json_format
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drawn import guards
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import RbacRules
from isthmus.translate.authorization.foregone import nobody_passes
from isthmus.translate.authorization.rbac import Sieve
from isthmus.translate.trace.facts import facts_of
from isthmus.translate.trace.rbac import ruling
from isthmus.translate.trace.steps import Tls


@settings(max_examples=500)
@given(tree=guards.rules(http=False), calls=st.lists(guards.calls(http=False), min_size=4, max_size=4))
def test_who_is_let_in_is_not_nobody(tree, calls):
    assume(tree["action"] != "LOG")
    rules = json_format.ParseDict(tree, RbacRules(), descriptor_pool=pool())
    for call in calls:
        proven = call.hello is not None
        if nobody_passes([Sieve(rules=rules)], call.port, proven=proven):
            facts = facts_of(call, Tls(mode="mutual" if proven else "plain"))
            assert not ruling(rules, facts).allows
