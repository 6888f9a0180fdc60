"""An explanation for people: from top to bottom the way of the call, with what decided at each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import click

from isthmus.console.explanations import Arrival, Explanation
from isthmus.translate.trace.steps import (
    Action,
    Answer,
    Branch,
    Closed,
    EndpointShare,
    Forward,
    ListenerStep,
    NearMiss,
    Redirect,
    RouteStep,
    Says,
    Trace,
    UpstreamShare,
)

Headers = tuple[tuple[str, str], ...]

_LABEL = 11
_STEP = " " * 9
_MOST_ENDPOINTS = 12
_MOST_NOTES = _MOST_ENDS = _MOST_MISSES = 8
_NO_RULE = {
    "default": "no rule speaks of it",
    "allow_any": "nobody in the mesh has such a name: it passes as it is",
    "block_all": "nobody in the mesh has such a name: it is refused",
}
"""What is to be said of the routes that no rule has made, by their names."""


def text_of(found: Explanation) -> str:
    """The explanation in lines, with colours where the terminal has them."""
    return "\n".join(_lines(found))


def _lines(found: Explanation) -> Iterator[str]:
    caller = found.caller
    place = ", ".join(part for part in (caller.namespace, caller.cluster, caller.locality) if part)
    yield click.style(f"{caller.name} → {found.to}", bold=True)
    yield _line("from", f"{caller.kind} of {caller.name} ({place})")
    yield _line("call", str(found.trace.call))
    if found.was:
        yield _line("ends", click.style(_ends(found.ends), fg="green"))
        yield _line("was", "the same" if found.was == found.ends else _ends(found.was))
    if found.trace.listener:
        yield from _listener(found.trace.listener)
    if found.let_in_by:
        yield _line("let in by", str(found.let_in_by))
    if found.takes:
        yield _line("", _dim(found.takes))
    many = len(found.trace.branches) > 1
    for branch in found.trace.branches:
        yield from _branch(found, branch, many)
    yield from _not_taken(found)
    for report in found.reports:
        yield _line("reports", _dim(str(report)))
    for guard in _guards(found.trace):
        yield _line("note", click.style(guard, fg="yellow"))
    for name in found.trace.unexamined:
        yield _line("note", click.style(f"filter {name} may yet decide otherwise", fg="yellow"))
    for note in found.notes[:_MOST_NOTES]:
        yield _line("note", click.style(note, fg="yellow"))
    if len(found.notes) > _MOST_NOTES:
        yield _line("", _dim(f"and {len(found.notes) - _MOST_NOTES} notes more (isthmus analyze, -o json)"))


def _ends(shares: Mapping[str, float]) -> str:
    """Where calls end, the most first."""
    several = sorted(shares.items(), key=lambda each: -each[1])
    more = f" and {len(several) - _MOST_ENDS} more" if len(several) > _MOST_ENDS else ""
    return ", ".join(f"{share:g} % {name}" for name, share in several[:_MOST_ENDS]) + more


def _listener(step: ListenerStep) -> Iterator[str]:
    yield _line("listener", f"{click.style(step.listener, fg='cyan')}  {_dim(step.why)}")
    if step.chain and step.chain != "any":
        tls = "" if step.tls.mode == "plain" else f"; here ends {step.tls}"
        yield _line("chain", f"{step.chain}  {_dim('seen: ' + step.seen + tls)}")


def _branch(found: Explanation, branch: Branch, many: bool) -> Iterator[str]:
    share = f"{branch.share:g} %  " if many else ""
    route = branch.route
    if route is not None:
        yield _line("host", f"{click.style(route.virtual_host, fg='cyan')}  {_dim('by ' + route.domain)}")
        origin = found.origins.get(str(route.index))
        said = str(origin) if origin else route.name or f"route {route.index}"
        none = "" if origin else _NO_RULE.get(route.name, "")
        yield _line("rule", f"{share}{click.style(said, fg='green')}  {_dim(none)}")
        for condition in route.conditions:
            yield _line("", f"✓ {condition}")
        yield from _action(found, branch.action)
        yield from (_line("answer", _dim(str(each))) for each in branch.answers)
        return
    if origin := found.origins.get("tcp"):
        yield _line("rule", click.style(str(origin), fg="green"))
    yield from _action(found, branch.action, share)


def _action(found: Explanation, action: Action, share: str = "") -> Iterator[str]:
    match action:
        case Redirect():
            where = click.style(action.location, fg="green")
            yield _line("redirect", f"{share}{action.status} to {where}  {_dim(action.why)}")
        case Answer():
            yield _line("answer", f"{share}{click.style(str(action.status), fg='red')}  {_dim(action.why)}")
        case Closed():
            yield _line("closed", f"{share}{click.style(action.why, fg='red')}")
        case Forward():
            yield from _forward(found, action)


def _forward(found: Explanation, action: Forward) -> Iterator[str]:
    settings = []
    if action.timeout_s:
        settings.append(f"timeout {action.timeout_s:g} s")
    if action.retries:
        settings.append(f"up to {action.retries} retries on {action.retry_on}")
    if settings:
        yield _line("with", _dim("; ".join(settings)))
    if action.tunnel:
        yield _line("tunnel", _dim(action.tunnel))
    for fault in action.faults:
        yield _line("fault", click.style(fault, fg="yellow"))
    for upstream in action.upstreams:
        yield from _upstream(found, upstream)
    for mirror in action.mirrors:
        yield _line("mirror", mirror)


def _upstream(found: Explanation, upstream: UpstreamShare) -> Iterator[str]:
    rule = f"  DestinationRule {upstream.config}" if upstream.config else ""
    yield _line(f"→ {upstream.share:5.4g} %", click.style(upstream.name, fg="cyan") + _dim(rule))
    if not upstream.exists:
        yield _line("", click.style("there is no such upstream: 503", fg="red"))
        return
    request = found.trace.call.request
    if request and upstream.path and (upstream.path, upstream.host) != (request.path, request.host):
        yield _line("", f"asked for {upstream.host}{upstream.path}")
    if request and upstream.headers is not None:
        yield from (_line("", each) for each in _changed(request.headers, upstream.headers))
    yield from (_line("", f"of the answer: {each}") for each in upstream.answers)
    serving = [one for one in upstream.endpoints if one.serves]
    if not serving:
        yield _line("", click.style("no endpoint serves it: 503", fg="red"))
    for tls in dict.fromkeys(one.tls for one in serving if one.tls.sni):
        yield _line("", _dim(str(tls)))
    if said := found.asked.get(upstream.name):
        yield _line("", _dim(str(said)))
    if upstream.limits:
        yield _line("", _dim(f"at most {', '.join(upstream.limits)}"))
    yield from (_line("", each) for each in _endpoints(found, upstream.endpoints, found.arrivals))
    if upstream.outlier:
        yield _line("", _dim(f"put aside {upstream.outlier}"))


def _changed(before: Headers, after: Headers) -> Iterator[str]:
    """Which headers a request is given and which it loses."""
    yield from (f"with {name}: {value}" for name, value in after if (name, value) not in before)
    names = {name for name, _ in after}
    yield from (f"without {name}" for name in dict(before) if name not in names)


def _endpoints(
    found: Explanation, several: Sequence[EndpointShare], arrivals: Sequence[Arrival]
) -> Iterator[str]:
    """Some endpoints, each with what becomes of the call there."""
    by_address = {each.endpoint: each for each in arrivals}
    for one in several[:_MOST_ENDPOINTS]:
        yield _endpoint(one, found.name_of(one))
        if arrival := by_address.get(one.address):
            yield from (_STEP + line for line in _arrival(found, arrival))
    more = len(several) - _MOST_ENDPOINTS
    if more > 0:
        yield _dim(f"and {more} endpoints more (-o json shows all)")


def _endpoint(one: EndpointShare, name: str) -> str:
    where = [one.address] if name != one.address else []
    where += [part for part in (one.cluster, one.locality) if part]
    if one.priority:
        where.append(f"priority {one.priority}")
    if one.health != "healthy":
        where.append(one.health)
    tls = str(one.tls).partition(",")[0]
    if one.network:
        name, where = f"via gateway {name}", [f"network {one.network}", *where]
    shown = click.style(name, bold=bool(one.share))
    told = (f"{one.share:5.4g} %", shown, _dim(", ".join(where)), tls)
    return "  ".join(each for each in told if each)


def _arrival(found: Explanation, arrival: Arrival) -> Iterator[str]:
    if arrival.problem:
        yield click.style(f"✗ refused there: {arrival.problem}", fg="red")
    elif arrival.trace is not None and arrival.trace.listener is not None:
        yield _dim(f"✓ chain {arrival.trace.listener.chain} {_taken(arrival.trace.listener, arrival.trace)}")
    elif arrival.note:
        yield _dim(arrival.note)
    yield from map(_dim, _policy(arrival))
    yield from _endpoints(found, arrival.behind, arrival.beyond)


def _taken(step: ListenerStep, found: Trace) -> str:
    if step.tls.mode != "plain":
        return f"takes it with {step.tls}"
    return "lets its TLS through" if found.call.hello is not None else "takes it in plain text"


def _guards(found: Trace) -> Iterator[str]:
    """Who else decides over the call, and what is not known of that."""
    for each in found.verdicts:
        if each.says is Says.ASKS:
            yield f"{each.why} is asked whether it may pass"
        elif each.says is Says.UNKNOWN and not each.is_tried:
            yield f"{each.filter} may refuse it: {each.why}"


def _policy(arrival: Arrival) -> Iterator[str]:
    """How the other side lets calls in, and on."""
    yield from (f"  {each}" for each in (_guards(arrival.trace) if arrival.trace else ()))
    if arrival.takes:
        by = f", by {arrival.terms_by}" if arrival.terms_by is not None else ""
        yield f"  {arrival.takes}{by}"
    if arrival.let_in_by is not None:
        yield f"  let in by {arrival.let_in_by}"
    onward = {each.name: each for _, each in arrival.trace.forwards} if arrival.trace else {}
    for upstream in onward.values():
        if upstream.limits:
            yield f"  at most {', '.join(upstream.limits)}"
        if not upstream.name.startswith("inbound|"):
            by = f" by {arrival.rule}" if arrival.rule else ""
            yield f"  and sends it on to {upstream.name}{by}"
        if said := arrival.asked.get(upstream.name):
            yield f"  {said}"


def _not_taken(found: Explanation) -> Iterator[str]:
    label = "not taken"
    wanted: dict[tuple[str, str], list[NearMiss]] = {}
    for miss in found.trace.near_misses:
        wanted.setdefault((_named(found, miss), miss.found), []).append(miss)
    # Which lacks the least was probably meant.
    nearest = sorted(wanted.items(), key=lambda each: min(miss.lacks for miss in each[1]))
    for (rule, had), misses in nearest[:_MOST_MISSES]:
        conditions = " or ".join(dict.fromkeys(miss.condition for miss in misses))
        more = min(miss.lacks for miss in misses) - 1
        beside = f" (and {more} more condition{'s' * (more > 1)})" if more else ""
        yield _line(label, f"{rule}: wants {conditions}{beside}; {had}")
        label = ""
    if len(nearest) > _MOST_MISSES:
        yield _line("", _dim(f"and {len(nearest) - _MOST_MISSES} more (-o json shows all)"))
    for later in found.trace.later[:_MOST_MISSES]:
        conditions = " and ".join(later.conditions)
        yield _line(label, f"{_named(found, later)}: would take it ({conditions}), and comes too late")
        label = ""
    for each in found.skipped:
        yield _line(label, f"{each.origin}: {each.why}")
        label = ""


def _named(found: Explanation, route: NearMiss | RouteStep) -> str:
    origin = found.origins.get(str(route.index))
    return str(origin) if origin else route.name or f"route {route.index}"


def _line(label: str, text: str) -> str:
    return f"  {label.ljust(_LABEL)} {text}".rstrip()


def _dim(text: str) -> str:
    return click.style(text, dim=True) if text else ""
