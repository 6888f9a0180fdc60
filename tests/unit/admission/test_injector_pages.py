"""An injector shows how much it logs to those who may look into its pod."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from isthmus.admission.process import Monitor
from isthmus.kit.plain_http import Request
from isthmus.kube.log_levels import PAGE, FollowedLevels


@pytest.mark.parametrize(("asker", "status"), [("10.0.0.7", 403), ("127.0.0.1", 200)])
async def test_levels_are_shown_over_loopback_only(asker, status):
    monitor = Monitor(SimpleNamespace(trouble=""), FollowedLevels())
    answer = await monitor.answer(Request("GET", PAGE, {}, asker=asker))
    assert answer.status == status
    if status == 200:
        assert "admission" in {each["scope"] for each in msgspec.json.decode(answer.body)["scopes"]}
