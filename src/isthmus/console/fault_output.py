"""Faults for people, for programs, and for reviews of code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isthmus.console.fault import Fault
from isthmus.console.shown import show, show_yaml
from isthmus.model.codes import code_numbered

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def text(faults: Sequence[Fault]) -> str:
    """A line each."""
    return "\n".join(map(str, faults)) if faults else "nothing found"


def sarif(faults: Sequence[Fault]) -> str:
    """What code hosts show beside the lines. Source: OASIS SARIF 2.1.0."""
    rules = {each.code: _rule(each.code, each.title) for each in faults}
    return show(
        {
            "version": "2.1.0",
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "runs": [
                {
                    "tool": {"driver": {"name": "isthmus", "rules": [rules[code] for code in sorted(rules)]}},
                    "results": [_result(each) for each in faults],
                }
            ],
        }
    )


def _rule(number: str, title: str) -> dict[str, object]:
    code = code_numbered(number)
    rule: dict[str, object] = {
        "id": number,
        "name": title,
        "shortDescription": {"text": code.meaning},
        "defaultConfiguration": {"level": _LEVELS[code.severity.value]},
    }
    return {**rule, "helpUri": code.page} if code.page else rule


def _result(fault: Fault) -> dict[str, object]:
    result: dict[str, object] = {
        "ruleId": fault.code,
        "level": _LEVELS[fault.severity],
        "message": {"text": f"{fault.object}: {fault.path}: {fault.message}"},
    }
    if fault.file:
        region = {"startLine": max(fault.line, 1)}
        result["locations"] = [
            {"physicalLocation": {"artifactLocation": {"uri": fault.file}, "region": region}}
        ]
    return result


OUTPUTS: dict[str, Callable[[Sequence[Fault]], str]] = {
    "table": text,
    "wide": text,
    "json": show,
    "yaml": show_yaml,
    "sarif": sarif,
}
"""What `--output` may be."""
