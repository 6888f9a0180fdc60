"""Filters that guard a chain: in their order, up to the first that refuses, and unknown where they cannot be known."""

from __future__ import annotations

import pytest
from google.protobuf import json_format

from fakes.signed_tokens import ISSUERS, JWKS, TOKENS
from isthmus.envoy.descriptors import pool
from isthmus.envoy.types import EnvoyHttpFilter
from isthmus.translate.trace.call import Request
from isthmus.translate.trace.facts import Facts
from isthmus.translate.trace.judgement import judged, meant_by
from isthmus.translate.trace.steps import Says

TYPES = "type.googleapis.com/envoy.extensions.filters.http"
ANY = {"permissions": [{"any": True}], "principals": [{"any": True}]}
CALL = Facts(address="10.0.0.1", port=80, request=Request(host="a", path="/x"))


def filters(*several):
    """Filters by name, kind and configuration."""
    return [
        json_format.ParseDict(
            {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **config}},
            EnvoyHttpFilter(),
            descriptor_pool=pool(),
        )
        for name, kind, config in several
    ]


def rbac(action, name="rbac", **policies):
    return name, "rbac.v3.RBAC", {"rules": {"action": action, "policies": policies}}


def jwt(**provider):
    made = {
        "issuer": ISSUERS[0],
        "local_jwks": {"inline_string": JWKS},
        "payload_in_metadata": "payload",
        **provider,
    }
    rule = {"match": {"prefix": "/"}, "requires": {"provider_name": "one"}}
    return "jwt", "jwt_authn.v3.JwtAuthentication", {"providers": {"one": made}, "rules": [rule]}


def claim(name, value):
    asked = {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "payload"}, {"key": name}]}
    metadata = {**asked, "value": {"string_match": {"exact": value}}}
    return {"permissions": [{"any": True}], "principals": [{"metadata": metadata}]}


def with_token(token, path="/x", header="authorization", prefix="Bearer "):
    headers = ((header, prefix + token),) if token else ()
    return Facts(address="10.0.0.1", port=80, request=Request(host="a", path=path, headers=headers))


def says(several, facts=CALL):
    return [each.says for each in judged(filters(*several), facts).verdicts]


def test_who_refuses_ends_it():
    found = judged(filters(rbac("DENY", a=ANY), rbac("ALLOW", "second", a=ANY)), CALL)
    assert [each.filter for each in found.verdicts] == ["rbac"]
    assert found.refused.policy == "a"


def test_rules_that_log_refuse_nobody():
    assert says([rbac("LOG", a=ANY)]) == [Says.PASSES]


def test_rules_without_policies_allow_nobody_and_deny_nobody():
    assert says([rbac("ALLOW")]) == [Says.REFUSES]
    assert says([rbac("DENY")]) == [Says.PASSES]


def test_what_another_policy_decides_does_not_depend_on_what_is_not_known():
    address = {"permissions": [{"any": True}], "principals": [{"remote_ip": {"address_prefix": "10.0.0.0"}}]}
    assert says([rbac("DENY", a=address, b=ANY)]) == [Says.REFUSES]
    assert says([rbac("DENY", a=address)]) == [Says.UNKNOWN]


def test_behind_filters_that_answer_nothing_is_known():
    cors = ("cors", "cors.v3.Cors", {})
    assert says([cors, rbac("DENY", a=ANY)]) == [Says.UNKNOWN]


@pytest.mark.parametrize(
    ("provider", "facts"),
    [
        ({}, with_token(TOKENS[0])),
        ({}, with_token("", f"/x?access_token={TOKENS[0]}")),
        ({"from_headers": [{"name": "x-token"}]}, with_token(TOKENS[0], header="x-token", prefix="")),
        ({"from_params": ["t"]}, with_token("", f"/x?a=b&t={TOKENS[0]}")),
        ({"audiences": ["https://books/"]}, with_token(TOKENS[0])),
    ],
)
def test_tokens_are_found_where_a_provider_looks(provider, facts):
    assert says([jwt(**provider), rbac("ALLOW", a=claim("group", "staff"))], facts) == [Says.PASSES] * 2


@pytest.mark.parametrize(
    ("provider", "facts", "status"),
    [
        ({}, with_token(""), 401),
        ({"from_params": ["t"]}, with_token(TOKENS[0]), 401),
        ({"audiences": ["films"]}, with_token(TOKENS[0]), 403),
        ({}, with_token(TOKENS[2]), 401),
    ],
)
def test_tokens_that_are_not_there_or_not_good_are_refused(provider, facts, status):
    found = judged(filters(jwt(**provider)), facts)
    assert found.refused.status == status


def test_claims_become_headers_and_tokens_may_go_no_further():
    found = judged(
        filters(jwt(claim_to_headers=[{"header_name": "X-Sub", "claim_name": "sub"}])), with_token(TOKENS[0])
    )
    assert found.facts.request.headers == (("x-sub", "alice"),)
    kept = judged(filters(jwt(forward=True, forward_payload_header="x-payload")), with_token(TOKENS[0]))
    names = [name for name, _ in kept.facts.request.headers]
    assert names == ["authorization", "x-payload"]


def test_where_tokens_cannot_be_known_nothing_is_said_of_their_claims():
    several = [jwt(from_cookies=["t"]), rbac("ALLOW", a=claim("group", "staff"))]
    assert says(several) == [Says.UNKNOWN] * 2


def test_names_of_policies_tell_the_rule_and_the_provider():
    assert meant_by("ns[a]-policy[b]-rule[12]") == ("a", "b", 12, "")
    assert meant_by("istio-ext-authz-my-door-ns[a]-policy[b]-rule[0]") == ("a", "b", 0, "my-door")
    assert meant_by("anything else") is None
