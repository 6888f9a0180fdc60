"""Programs of the control plane log as a ConfigMap beside them says."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Ref
from isthmus.kit.log_levels import set_levels
from isthmus.kit.scopes import SCOPES, ads, ca
from isthmus.kube.log_levels import CONFIG_MAP, KEY, FollowedLevels

REF = Ref("ConfigMap", "istio-system", CONFIG_MAP)


@pytest.fixture
def levels():
    set_levels(dict.fromkeys(SCOPES, "info") | {"ca": "warning"})
    return FollowedLevels()


def said(text):
    return ConfigMap(data={KEY: text})


def test_what_is_said_counts_until_it_is_taken_back(levels):
    levels.seen(REF, said("ads:debug"))
    assert (ads.level, ca.level) == ("debug", "warning")
    levels.seen(REF, said("ca:debug"))
    assert (ads.level, ca.level) == ("info", "debug")
    levels.seen(REF, None)
    assert (ads.level, ca.level) == ("info", "warning")
    levels.seen(REF, said("all:error"))
    levels.seen(REF, ConfigMap())
    assert (ads.level, ca.level) == ("info", "warning")


def test_what_is_wrong_changes_nothing_and_is_said_once(levels):
    levels.seen(REF, said("ads:debug"))
    with capture_logs() as logs:
        levels.seen(REF, said("ads:loud"))
        levels.seen(REF, said("ads:loud"))
        levels.seen(REF, InvalidConfig("$.data", "is no mapping"))
    assert ads.level == "debug"
    assert [each["log_level"] for each in logs] == ["error", "error"]
    page = levels.page()
    assert page["said"] == "ads:debug"
    assert "is no mapping" in page["wrong"]
    levels.seen(REF, said("ads:error"))
    assert (levels.page()["wrong"], ads.level) == ("", "error")


def test_the_page_tells_each_scope_and_what_it_was_started_with(levels):
    levels.seen(REF, said("ca:debug"))
    (shown,) = (each for each in levels.page()["scopes"] if each["scope"] == "ca")
    assert (shown["level"], shown["started"]) == ("debug", "warning")
    assert len(levels.page()["scopes"]) == len(SCOPES)
