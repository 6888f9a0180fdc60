from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from isthmus.kit.log import Scope
from isthmus.kit.log_levels import parse_levels, set_levels, set_up_logs
from isthmus.kit.log_lines import _redact
from isthmus.kit.redacted import Redacted
from isthmus.kit.scopes import SCOPES, ads, ca

SRC = Path(__file__).parents[3] / "src" / "isthmus"
LOGGING = {"admission", "ca", "discovery", "kube", "sidecar", "xds"}
CALLED = {"xds": "ads", "sidecar": "agent"}


@pytest.mark.parametrize("package", sorted(LOGGING))
def test_what_a_package_logs_is_in_its_own_scope(package):
    for path in (SRC / package).rglob("*.py"):
        text = path.read_text()
        for scope in re.findall(r"from isthmus\.kit\.scopes import (\w+) as log\b", text):
            assert scope == CALLED.get(package, package), path
        assert not re.search(r"from isthmus\.kit\.log import .*\blog$", text, re.MULTILINE), path


def test_a_secret_is_not_shown_however_deep_it_lies():
    secret = Redacted("hunter2")
    shown = _redact(None, "info", {"event": "e", "a": secret, "b": [secret], "c": {"d": (secret, 1)}})
    assert shown == {"event": "e", "a": "<redacted>", "b": ["<redacted>"], "c": {"d": ["<redacted>", 1]}}
    assert repr([secret]) == "[<redacted>]"


def test_each_scope_says_as_much_as_it_is_told():
    out = io.StringIO()
    set_up_logs("warn,ads:debug", to=out)
    ads.debug("sent", bytes=1)
    ca.info("not said")
    ca.warning("refused")
    set_levels({"ca": "debug", "ads": "none"})
    ads.error("not said")
    ca.debug("looked at")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(each["scope"], each["level"], each["event"]) for each in lines] == [
        ("ads", "debug", "sent"),
        ("ca", "warning", "refused"),
        ("ca", "debug", "looked at"),
    ]


@pytest.mark.parametrize(
    ("text", "level", "of"),
    [
        ("error", "error", "kube"),
        ("kube:debug, error", "debug", "kube"),
        ("all:none,kube:Warn", "warning", "kube"),
        ("debug,kube:off", "none", "kube"),
        ("trace", "debug", "ads"),  # as Envoy's levels, which an annotation may name for agents
        ("critical", "error", "ads"),
        ("default:debug", "debug", "default"),
    ],
)
def test_levels_are_for_all_or_for_scopes_whatever_the_order(text, level, of):
    assert parse_levels(text)[of] == level


def test_what_names_no_level_or_no_scope_is_told_all_at_once():
    with pytest.raises(ValueError, match="'loud' is no level") as raised:
        parse_levels("ads:loud,sound:debug,ca:debug")
    assert "'sound' is no scope (hint: admission, ads," in str(raised.value)
    assert parse_levels("") == {}


def test_scopes_are_told_apart_by_what_they_are_about():
    assert all(isinstance(each, Scope) for each in SCOPES.values())
    assert len({each.about for each in SCOPES.values()}) == len(SCOPES)
