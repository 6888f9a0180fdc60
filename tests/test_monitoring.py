"""Metrics, rules, dashboard and runbooks fit together: each names what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from isthmus.console.reference_metrics import declared, page

ROOT = Path(__file__).parent.parent
MONITORING, RUNBOOKS = ROOT / "monitoring", ROOT / "docs" / "runbooks"
GROUPS = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
OF_AGENTS = {"istio_agent_cert_expiry_seconds"}
_STRINGS = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"\{[^}]*\}|\b(?:by|on|without)\s*\([^)]*\)")
_NAME = re.compile(r"\b(?:pilot|istiod|istio|citadel|isthmus|remote_cluster|endpoint)_\w+\b|\bisthmus:[\w:]+")


def known() -> set[str]:
    """All names that Prometheus knows of what we tell, and of what is recorded."""
    found = set(OF_AGENTS) | {rule["record"] for rule in RULES if "record" in rule}
    for each in declared():
        ends = ("_bucket", "_sum", "_count") if each.type == "histogram" else ("",)
        found |= {each.name + end for end in ends}
    return found


def named(expr: str) -> set[str]:
    return set(_NAME.findall(_LABELS.sub("", _STRINGS.sub("", expr))))


def promtool() -> str | None:
    return shutil.which("promtool", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")


def queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_every_metric_is_on_the_page_once_and_nothing_else() -> None:
    ours, title, absent = page().partition("## What Istio tells and this does not")
    told = re.findall(r"^\| `(\w+)` \|", ours, re.MULTILINE)
    assert title
    for name in re.findall(r"^\| `([\w*]+)` \|", absent, re.MULTILINE):
        assert not any(each.name.startswith(name.rstrip("*")) for each in declared()), "it is told"
    assert sorted(told) == sorted({each.name for each in declared()})
    assert all(each.help.endswith(".") for each in declared())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_metrics_that_are_there(rule: dict[str, str]) -> None:
    assert named(rule["expr"])
    assert not named(rule["expr"]) - known()


@pytest.mark.parametrize(("title", "expr"), list(queries()))
def test_the_dashboard_asks_for_metrics_that_are_there(title: str, expr: str) -> None:
    assert named(expr), title
    assert not named(expr) - known()


def test_the_dashboard_is_as_it_is_made() -> None:
    before = (MONITORING / "dashboard.json").read_text()
    try:
        subprocess.run([sys.executable, ROOT / "tools" / "dashboard.py"], check=True)
        assert (MONITORING / "dashboard.json").read_text() == before, "make docs"
    finally:
        (MONITORING / "dashboard.json").write_text(before)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert ids == list(range(1, len(ids) + 1))


def test_panels_do_not_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == set(ALERTS)


@pytest.mark.parametrize("name", list(ALERTS))
def test_a_page_says_what_it_means_what_to_look_at_and_what_mends_it(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert titles == [name, "What it means", "What to look at", "What mends it"]
    assert re.search(r"^\| `(?:isthmus|kubectl) ", text, re.MULTILINE)
    shown = " ".join(text.partition("```text\n")[2].partition("```")[0].split())
    assert shown == " ".join(ALERTS[name]["expr"].split()), "the page shows another expression"
    assert ALERTS[name]["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert ALERTS[name]["labels"]["severity"] in {"warning", "critical"}
    assert f"[{name}]({name}.md)" in (RUNBOOKS / "README.md").read_text()


@pytest.mark.parametrize(
    "words", [("check", "rules", "rules.yaml"), ("test", "rules", "rules_test.yaml")], ids=" ".join
)
def test_promtool_is_content(words: tuple[str, ...]) -> None:
    program = promtool()
    if program is None:
        pytest.skip("promtool is not here (hint: make setup, on Debian or Ubuntu)")
    ran = subprocess.run([program, *words], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_is_tried() -> None:
    text = (MONITORING / "rules_test.yaml").read_text()
    assert not [name for name in ALERTS if f'alertname="{name}"' not in text]
