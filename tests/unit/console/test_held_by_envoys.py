"""What Envoys hold of roots and of AuthorizationPolicies, told from their dumps."""

from __future__ import annotations

import base64

import pytest

from fakes.pki import Pki
from isthmus.console.authz_held import policies_in
from isthmus.console.compared_roots import compared, is_same

ADMIN = "type.googleapis.com/envoy.admin.v3."
RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"


def with_roots(*pems, domains=None):
    context = {"trusted_ca": {"inline_bytes": base64.b64encode(b"".join(pems)).decode()}}
    if domains is not None:
        named = [
            {"name": name, "trust_bundle": {"inline_string": pem.decode()}} for name, pem in domains.items()
        ]
        context = {"custom_validator_config": {"typed_config": {"trust_domains": named}}}
    secret = {"name": "ROOTCA", "secret": {"name": "ROOTCA", "validation_context": context}}
    return {"configs": [{"@type": f"{ADMIN}SecretsConfigDump", "dynamic_active_secrets": [secret]}]}


@pytest.fixture(scope="module")
def roots():
    return [Pki(each).roots for each in ("one", "other")]


def test_of_the_same_roots_it_does_not_matter_in_which_order_they_are(roots):
    one, other = roots
    rows = compared(with_roots(one, other), with_roots(other, one))
    assert is_same(rows)
    assert [(each.first, each.second) for each in rows] == [(True, True)] * 2


def test_a_root_that_one_envoy_alone_holds_is_named(roots):
    one, other = roots
    rows = compared(with_roots(one), with_roots(one, other))
    assert not is_same(rows)
    assert sorted((each.first, each.second) for each in rows) == [(False, True), (True, True)]
    assert all(each.text[2] for each in rows)


def test_a_root_of_another_trust_domain_is_another_root(roots):
    one, _ = roots
    rows = compared(with_roots(domains={"a": one}), with_roots(domains={"b": one}))
    assert [(each.domain, each.first, each.second) for each in rows] == [
        ("a", True, False),
        ("b", False, True),
    ]


def test_an_envoy_without_roots_is_told(roots):
    with pytest.raises(ValueError, match="the second pod's Envoy holds no roots"):
        compared(with_roots(roots[0]), {"configs": []})


def test_what_is_no_certificate_is_no_root(roots):
    strange = with_roots(roots[0])
    (held,) = strange["configs"][0]["dynamic_active_secrets"]
    held["secret"]["validation_context"]["trusted_ca"] = {"inline_bytes": "no base64: é"}
    with pytest.raises(ValueError, match="the first pod's Envoy holds no roots"):
        compared(strange, with_roots(roots[0]))


def rule(namespace, name, number, provider=""):
    prefix = f"istio-ext-authz-{provider}-" if provider else ""
    return f"{prefix}ns[{namespace}]-policy[{name}]-rule[{number}]"


def listener(port, *filters):
    manager = {
        "typed_config": {"http_filters": [{"typed_config": {"@type": RBAC, **each}} for each in filters]}
    }
    chain = {"filter_chain_match": {"destination_port": port}, "filters": [manager]}
    return {"active_state": {"listener": {"name": "virtualInbound", "filter_chains": [chain]}}}


def test_policies_are_told_by_action_with_their_rules_and_ports():
    allows = {"rules": {"policies": {rule("shop", "cart", 0): {}, rule("shop", "cart", 1): {}}}}
    denies = {"rules": {"action": "DENY", "policies": {rule("istio-system", "all", 0): {}, "not-ours": {}}}}
    asks = {"shadow_rules": {"action": "DENY", "policies": {rule("shop", "login", 0, "opa"): {}}}}
    tries = {"shadow_rules": {"action": "DENY", "policies": {rule("shop", "soon", 0): {}}}}
    logs = {"rules": {"action": "LOG", "policies": {rule("shop", "seen", 0): {}}}}
    held = [listener(8080, allows, denies, asks, tries, logs), listener(9090, allows)]
    dump = {"configs": [{"@type": f"{ADMIN}ListenersConfigDump", "dynamic_listeners": held}]}
    assert [each.text for each in policies_in(dump)] == [
        ("ALLOW", "cart.shop", "2", "8080, 9090"),
        ("AUDIT", "seen.shop", "1", "8080"),
        ("CUSTOM (opa)", "login.shop", "1", "8080"),
        ("DENY", "all.istio-system", "1", "8080"),
        ("DENY (dry run)", "soon.shop", "1", "8080"),
    ]
