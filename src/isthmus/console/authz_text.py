"""What `isthmus authz check` says, for people: the decision first, then the filters in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from isthmus.console.authz_verdicts import Decision, Judgement, Said, Step
from isthmus.translate.trace.judgement import meant_by
from isthmus.translate.trace.steps import Says, Verdict

_COLOURS: Mapping[Decision, str] = {
    Decision.ALLOWED: "green",
    Decision.DENIED: "red",
    Decision.ASKED: "yellow",
    Decision.UNKNOWN: "yellow",
}
_WRITTEN = {"LOG": "AUDIT"}
"""Actions as policies have them, by those of Envoy."""
_MOST_NAMED = 5


def text_of(found: Said) -> str:
    """The decision in lines, with colours where the terminal has them."""
    return "\n".join(_lines(found))


def _lines(found: Said) -> Iterator[str]:
    yield f"{_said(found.decision)}  {found.caller} → {found.to}: {found.request}"
    for same in _alike(found.judgements):
        yield from _judgement(same)
    for note in dict.fromkeys(found.notes):
        yield click.style(f"  note: {note}", fg="yellow")


def _alike(judgements: tuple[Judgement, ...]) -> list[list[Judgement]]:
    """Those of which the same is to be said, together."""
    found: dict[tuple[object, ...], list[Judgement]] = {}
    for each in judgements:
        steps = tuple(str(step) for step in each.steps)
        found.setdefault((each.decision, each.why, each.how, steps, each.policies), []).append(each)
    return list(found.values())


def _judgement(same: list[Judgement]) -> Iterator[str]:
    first = same[0]
    names = ", ".join(f"{each.workload} ({each.cluster}):{each.port}" for each in same[:_MOST_NAMED])
    more = f" and {len(same) - _MOST_NAMED} more" if len(same) > _MOST_NAMED else ""
    status = f" with {first.status}" if first.status else ""
    yield f"{_said(first.decision)}{status} at {names}{more}: {first.why}"
    if first.how:
        yield _dim(f"  it comes in {first.how}")
    for step in first.steps:
        yield from (f"  {line}" for line in _step(step))
    held = ", ".join(first.policies) or "none"
    yield _dim(f"  policies that hold there: {held}")


def _step(step: Step) -> Iterator[str]:
    verdict = step.verdict
    name = verdict.filter.removeprefix("envoy.filters.")
    by = str(step.by) if step.by is not None else verdict.policy
    match verdict.says:
        case Says.UNKNOWN:
            yield click.style(f"? {name}: not known: {verdict.why}", fg="yellow")
        case Says.ASKS:
            yield click.style(f"? {name}: asked of {verdict.why}", fg="yellow")
        case _ if _is_question(verdict):
            yield _question(name, step, by)
        case _ if verdict.is_tried:
            would = "denied" if verdict.says is Says.REFUSES_IN_TRIAL else "allowed"
            yield _dim(f"· {name}: dry run, would be {would}{' ' if by else ', '}{_by(verdict, by)}")
        case Says.REFUSES:
            unasked = f", for provider {step.provider} cannot be asked" if step.provider else ""
            yield click.style(f"✗ {name}: {_ruled(verdict, by)}{unasked}", fg="red")
        case _:
            yield f"✓ {name}: {_ruled(verdict, by)}"


def _is_question(verdict: Verdict) -> bool:
    """Whether the filter asks only whether somebody else is to be asked."""
    first = meant_by(next(iter(verdict.among), ""))
    return verdict.is_tried and first is not None and bool(first.provider)


def _question(name: str, step: Step, by: str) -> str:
    if step.by is not None:
        return f"· {name}: CUSTOM {by}: provider {step.provider} is asked"
    return f"· {name}: CUSTOM, no rule of {_among(step.verdict)} matches: nobody is asked"


def _ruled(verdict: Verdict, by: str) -> str:
    """The action of the rules and which of them matched; of tokens what was found."""
    said = [each for each in (_WRITTEN.get(verdict.action, verdict.action), _by(verdict, by)) if each]
    return (" " if by else ", ").join(said)


def _by(verdict: Verdict, by: str) -> str:
    """By which rule, or why none."""
    if by:
        return f"by {by}"
    if verdict.action:
        return (
            f"no rule of {_among(verdict)} matches" if verdict.among else "there is no rule that could match"
        )
    return verdict.why


def _among(verdict: Verdict) -> str:
    """The policies of which none matched, each once."""
    names = []
    for policy in verdict.among:
        meant = meant_by(policy)
        names.append(f"{meant.namespace}/{meant.name}" if meant is not None else policy)
    several = sorted(dict.fromkeys(names))
    more = f" and {len(several) - _MOST_NAMED} more" if len(several) > _MOST_NAMED else ""
    return ", ".join(several[:_MOST_NAMED]) + more


def _said(decision: Decision) -> str:
    return click.style(decision.value.upper(), fg=_COLOURS[decision], bold=True)


def _dim(text: str) -> str:
    return click.style(text, dim=True)
