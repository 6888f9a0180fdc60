"""What routes do to headers: of requests before they are sent on, and of answers before the caller gets them.

Source: Envoy's route configuration reference, custom headers: of the share, the route, the virtual host and the
configuration, in this order unless the most specific is to win; each first removes, then sets, then adds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec.structs import replace

from isthmus.envoy.types import HeaderValueOption, Route, RouteConfiguration, VirtualHost, WeightedCluster
from isthmus.translate.trace.call import Request
from isthmus.translate.trace.steps import HeaderChange

Headers = tuple[tuple[str, str], ...]
Level = RouteConfiguration | VirtualHost | Route | WeightedCluster.ClusterWeight
Levels = Sequence[Sequence[HeaderChange]]

_DOES = {
    HeaderValueOption.APPEND_IF_EXISTS_OR_ADD: "add",
    HeaderValueOption.ADD_IF_ABSENT: "add where absent",
    HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD: "set",
    HeaderValueOption.OVERWRITE_IF_EXISTS: "set where present",
}
_COMMAND = re.compile(r"%(?:(%)|REQ\(([^?):]+)\)%)")


def of_requests(level: Level) -> tuple[HeaderChange, ...]:
    """What `level` does to requests."""
    return (*_removals(level.request_headers_to_remove), *_options(level.request_headers_to_add))


def of_answers(level: Level) -> tuple[HeaderChange, ...]:
    """What `level` does to answers."""
    return (*_removals(level.response_headers_to_remove), *_options(level.response_headers_to_add))


def sent_on(request: Request, levels: Levels) -> Request:
    """The request after the changes of each level in turn."""
    for level in levels:
        request = _with(_without(request, level), level)
    return request


def _without(request: Request, level: Sequence[HeaderChange]) -> Request:
    gone = {each.name for each in level if each.does == "remove"}
    return replace(request, headers=tuple(each for each in request.headers if each[0].lower() not in gone))


def _with(request: Request, level: Sequence[HeaderChange]) -> Request:
    """All values are made of what was there before any was set; what is set comes before what is added."""
    headers = request.headers
    there = {name.lower() for name, _ in headers}
    filled = [(each, _filled(each.value, request)) for each in level if each.does != "remove"]
    said = [(each, value) for each, value in filled if value]  # Envoy sends no header without a value
    of_own = {each.name: value for each, value in said if _sets(each, there)}
    kept = tuple(pair for pair in headers if pair[0].lower() not in of_own)
    added = tuple((each.name, value) for each, value in said if _adds(each, there))
    return replace(request, headers=(*kept, *of_own.items(), *added))


def _sets(one: HeaderChange, there: Collection[str]) -> bool:
    return one.does == "set" or (one.does == "set where present" and one.name in there)


def _adds(one: HeaderChange, there: Collection[str]) -> bool:
    return one.does == "add" or (one.does == "add where absent" and one.name not in there)


def _filled(value: str, request: Request) -> str:
    """`value` with what the request says in its place; what only Envoy knows stays as it is written."""

    def fill(found: re.Match[str]) -> str:
        return "%" if found.group(1) else request.value(found.group(2)) or ""

    return _COMMAND.sub(fill, value)


def _removals(names: Iterable[str]) -> Iterator[HeaderChange]:
    return (HeaderChange(name=name.lower(), does="remove") for name in names)


def _options(options: Iterable[HeaderValueOption]) -> Iterator[HeaderChange]:
    for one in options:
        does = _DOES[one.append_action]
        if one.HasField("append") and not one.append.value:
            does = "set"
        yield HeaderChange(name=one.header.key.lower(), value=one.header.value, does=does)
