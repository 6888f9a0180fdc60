from __future__ import annotations

import pytest

pytestmark = pytest.mark.kubectl


async def test_explain_tells_a_fields_type_and_words(kubectl):
    said = await kubectl("explain", "deployment.spec.strategy.type")
    assert "<string>" in said
    assert "RollingUpdate" in said


async def test_explain_follows_references_into_lists(kubectl):
    said = await kubectl("explain", "pods.spec.containers.ports")
    assert "containerPort" in said
    assert "hostPort" in said


async def test_explain_lists_all_fields_below(kubectl):
    said = await kubectl("explain", "service.spec", "--recursive")
    assert all(name in said for name in ("sessionAffinityConfig", "clientIP", "timeoutSeconds"))


async def test_explain_does_not_know_what_is_not_there(kubectl):
    ran = await kubectl.run("explain", "service.spec.sorts")
    assert ran.code != 0
    assert '"sorts"' in ran.err
