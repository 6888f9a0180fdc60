from __future__ import annotations

import json

import pytest

from isthmus.api import kind_named
from isthmus.api.crd import definition

pytestmark = pytest.mark.kubectl

POLICY = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "near", "namespace": "default"},
    "spec": {
        "selector": {"matchLabels": {"app": "ratings"}},
        "rules": [
            {
                "from": [{"source": {"notPrincipals": ["*/sa/old"], "trustDomains": ["cluster.local"]}}],
                "to": [{"operation": {"ports": ["9080"], "notPaths": ["/users/{*}/secrets"]}}],
                "when": [
                    {"key": "source.cluster", "values": ["gke"]},
                    {"key": "cel", "notValues": ["request.size > 1000"]},
                ],
            },
            {},
        ],
    },
}


@pytest.fixture
async def defined(kubectl):
    await kubectl("apply", "-f", "-", stdin=json.dumps(definition(kind_named("AuthorizationPolicy"))))
    crd = "crd/authorizationpolicies.security.istio.io"
    await kubectl("wait", "--for=condition=established", crd, "--timeout=20s")
    return kubectl


async def test_a_policy_is_kept_whole_with_what_is_this_meshs_own(defined):
    await defined("apply", "-f", "-", stdin=json.dumps(POLICY))
    found = json.loads(await defined("get", "ap", "near", "-o", "json"))
    assert found["spec"] == POLICY["spec"]


async def test_a_policy_is_refused_for_words_and_types_that_no_policy_has(defined):
    for spec in ({"action": "ALOW"}, {"rules": [{"to": [{"operation": {"ports": [80]}}]}]}):
        ran = await defined.run("apply", "-f", "-", stdin=json.dumps({**POLICY, "spec": spec}))
        assert ran.code == 1
        assert "spec." in ran.err
