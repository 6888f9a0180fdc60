"""A route's conditions one by one: what each asks, and whether a request meets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isthmus.envoy.types import (
    HeaderMatcher,
    MetadataMatcher,
    QueryParameterMatcher,
    RouteMatch,
    StringMatcher,
)
from isthmus.translate.claims import FILTER
from isthmus.translate.trace.call import Request, Untraceable
from isthmus.translate.trace.metadata_match import NOTHING, metadata_matches, value_at
from isthmus.translate.trace.text_match import lower, said, text_matches, whole_text_fits

_UNKNOWN = ("tls_context", "filter_state", "cookies")


class Condition(NamedTuple):
    """What is asked of a request, and what it has."""

    asks: str
    holds: bool
    found: str


def conditions(
    match: RouteMatch, request: Request, metadata: Mapping[str, object] | None = None
) -> Iterator[Condition]:
    """All conditions of `match` but chance, the path first. Raises `Untraceable` for those unknown here.

    `metadata` is what filters have found out by then, by their names.
    """
    for field, _ in match.ListFields():
        if field.name in _UNKNOWN:
            raise Untraceable(f"a route asks for {field.name}, which the trace does not know")
    yield path_condition(match, request)
    for header in match.headers:
        found = request.value(header.name)
        yield Condition(_header_said(header), header_holds(header, found), _found(header.name, found))
    parameters = query_parameters(request.path)
    for one in match.query_parameters:
        value = parameters.get(one.name)
        yield Condition(_query_said(one), _query_holds(one, value), _found(one.name, value))
    for claim in match.dynamic_metadata:
        yield _claim_condition(claim, metadata or {})
    if match.HasField("grpc"):
        kind = request.value("content-type") or ""
        is_grpc = kind == "application/grpc" or kind.startswith("application/grpc+")
        yield Condition("gRPC", is_grpc, _found("content-type", kind or None))


def _claim_condition(matcher: MetadataMatcher, metadata: Mapping[str, object]) -> Condition:
    """On a claim of the caller's token, which jwt_authn has left if it has checked one."""
    if matcher.filter != FILTER:
        raise Untraceable(f"a route asks for what {matcher.filter} found out, which the trace does not know")
    name = ".".join(segment.key for segment in matcher.path[1:])
    no = "not " if matcher.invert else ""
    found = value_at(matcher, metadata)
    said = f"claim {name} is {'absent' if found is NOTHING else found}"
    return Condition(
        f"{no}claim {name}",
        metadata_matches(matcher, metadata),
        said if FILTER in metadata else "no token was checked",
    )


def chance(match: RouteMatch) -> float:
    """The share of requests that the route takes of those that meet its conditions, 0 to 1."""
    if not match.HasField("runtime_fraction"):
        return 1.0
    fraction = match.runtime_fraction.default_value
    parts = {fraction.HUNDRED: 100, fraction.TEN_THOUSAND: 10_000, fraction.MILLION: 1_000_000}
    return min(1.0, fraction.numerator / parts[fraction.denominator])


def path_condition(match: RouteMatch, request: Request) -> Condition:
    """Whether the path without its query is as asked. Source: RouteMatch reference, path_specifier."""
    kind = match.WhichOneof("path_specifier")
    path = request.bare_path
    if kind == "connect_matcher":
        return Condition("CONNECT", request.method == "CONNECT", f"method is {request.method}")
    folded = match.HasField("case_sensitive") and not match.case_sensitive.value
    note = ", in any case" if folded else ""
    if request.method == "CONNECT":
        return Condition("a path", False, "CONNECT has none")
    if kind == "safe_regex":
        regex = match.safe_regex.regex
        return Condition(f"path ~ {regex}", whole_text_fits(regex, path), f"path is {path}")
    if kind not in {"prefix", "path", "path_separated_prefix"}:
        raise Untraceable(f"a route asks for {kind}, which the trace does not know")
    wanted = str(getattr(match, kind))
    one, other = (lower(path), lower(wanted)) if folded else (path, wanted)
    holds, shown = {
        "prefix": (one.startswith(other), f"{wanted}*"),
        "path": (one == other, wanted),
        "path_separated_prefix": (one == other or one.startswith(f"{other}/"), f"{wanted} or {wanted}/*"),
    }[kind]
    return Condition(f"path = {shown}{note}", holds, f"path is {path}")


def header_holds(matcher: HeaderMatcher, value: str | None) -> bool:
    """Source: HeaderMatcher reference. A missing header meets no condition on its value, not even inverted."""
    kind = matcher.WhichOneof("header_match_specifier")
    if kind in {None, "present_match"}:
        wanted = matcher.present_match if kind else True
        present = value is not None or matcher.treat_missing_header_as_empty
        return (present == wanted) != matcher.invert_match
    if value is None:
        if not matcher.treat_missing_header_as_empty:
            return False
        value = ""
    return _value_holds(matcher, str(kind), value) != matcher.invert_match


def _value_holds(matcher: HeaderMatcher, kind: str, value: str) -> bool:
    if kind == "range_match":
        try:
            return matcher.range_match.start <= int(value) < matcher.range_match.end
        except ValueError:
            return False
    return text_matches(_as_text_matcher(matcher, kind), value)


def _as_text_matcher(matcher: HeaderMatcher, kind: str) -> StringMatcher:
    """Also the deprecated forms: they mean the same."""
    if kind == "string_match":
        return matcher.string_match
    if kind == "safe_regex_match":
        return StringMatcher(safe_regex=matcher.safe_regex_match)
    made = StringMatcher()
    setattr(made, kind.removesuffix("_match"), getattr(matcher, kind))
    return made


def query_parameters(path: str) -> dict[str, str]:
    """The first value of each parameter, as it is written: Envoy decodes nothing here."""
    found: dict[str, str] = {}
    _, mark, query = path.partition("?")
    for part in query.split("&") if mark else ():
        name, _, value = part.partition("=")
        found.setdefault(name, value)
    return found


def _query_holds(matcher: QueryParameterMatcher, value: str | None) -> bool:
    match matcher.WhichOneof("query_parameter_match_specifier"):
        case "string_match":
            return value is not None and text_matches(matcher.string_match, value)
        case "present_match":
            return (value is not None) == matcher.present_match
        case _:
            return value is not None


def _header_said(matcher: HeaderMatcher) -> str:
    kind = matcher.WhichOneof("header_match_specifier")
    no = "not " if matcher.invert_match else ""
    name = _NAMED.get(matcher.name, f"header {matcher.name}")
    match kind:
        case None | "present_match":
            absent = matcher.invert_match == (matcher.present_match if kind else True)
            return f"{'no ' if absent else ''}{name}"
        case "range_match":
            return f"{no}{name} in {matcher.range_match.start}..{matcher.range_match.end}"
        case _:
            return f"{no}{name} {said(_as_text_matcher(matcher, str(kind)))}"


def _query_said(matcher: QueryParameterMatcher) -> str:
    if matcher.WhichOneof("query_parameter_match_specifier") == "string_match":
        return f"query {matcher.name} {said(matcher.string_match)}"
    return f"query {matcher.name}"


def _found(name: str, value: str | None) -> str:
    return f"{_NAMED.get(name, name)} is {'absent' if value is None else value or '(empty)'}"


_NAMED = {":method": "method", ":authority": "host", ":scheme": "scheme", ":path": "path and query"}
