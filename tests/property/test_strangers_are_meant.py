"""What rules mean of a call without an identity: never more sure than Istio's documentation is."""

from __future__ import annotations

import msgspec
from hypothesis import assume, given

from drawn import authorization_policies
from fakes.authorization_oracle import Asked
from isthmus.api.istio.authorization_policy import Rule
from isthmus.model.stranger import Stranger


@given(authorization_policies.worlds(), authorization_policies.calls())
def test_a_stranger_is_never_thought_to_be_meant_or_not_against_the_documentation(documents, call):
    assume(call.request is not None and call.hello is None)
    request = call.request
    stranger = Stranger(call.port, request.method, request.path.partition("?")[0])
    asked = Asked(call, [])  # no token is looked for, so that none tells who calls
    for policy in documents:
        for written in policy["spec"].get("rules", ()) if policy["kind"] == "AuthorizationPolicy" else ():
            rule = msgspec.convert(written, Rule)
            is_so = asked.is_meant({**policy, "spec": {**policy["spec"], "rules": [written]}})
            assert stranger.may_be_meant(rule) or not is_so, written
            assert is_so or not stranger.is_meant(rule), written
