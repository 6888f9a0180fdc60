from __future__ import annotations

import json

from click.testing import CliRunner

from isthmus.console import pilots
from isthmus.console.cli import main
from isthmus.console.pilots import Answers, Silence, Told


def finding(name):
    return {
        "severity": "warning",
        "code": "ISM0034",
        "title": "WorkloadNotRegistered",
        "object": f"WorkloadGroup default/{name}",
        "cluster": "gke",
        "path": "$.spec",
        "message": "is not registered",
    }


def test_what_any_pilot_finds_is_shown_once_and_who_is_silent_is_said(monkeypatch):
    both = [finding("seen-by-both")]
    told = (
        Told("", "istiod-1", [*both, finding("at-the-first")]),
        Told("", "istiod-2", [*both, finding("at-the-second")]),
    )

    async def answers(*_):
        return Answers(told, (Silence("", "istiod-3: no answer"),))

    monkeypatch.setattr(pilots, "ask_pilots", answers)
    shown = CliRunner().invoke(main, ["analyze", "-o", "json"])
    found = [each["object"].rpartition("/")[2] for each in json.loads(shown.stdout)]
    assert sorted(found) == ["at-the-first", "at-the-second", "seen-by-both"]
    assert "istiod-3: no answer" in shown.stderr
