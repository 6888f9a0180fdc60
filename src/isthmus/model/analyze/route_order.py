"""The order of routes: which rules and matches of a VirtualService no request comes to.

A match covers a later one where every condition of it follows from the later one's. What is not certain (two
regular expressions) is not told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from isthmus.api.istio.http_route import HTTPMatchRequest, HTTPRoute, StringMatch
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Part
from isthmus.model.analyze.subject import Subject, finding
from isthmus.model.codes import Code
from isthmus.model.findings import Finding

_EVERYTHING = HTTPMatchRequest()
_PLAIN = ("port", "source_namespace")
_TEXTS = ("scheme", "method", "authority")


class _Place(NamedTuple):
    """A match, by the rule that it is of."""

    rule: int
    match: HTTPMatchRequest


def rules_are_reached(subject: Subject) -> Iterator[Finding]:
    """No rule of a VirtualService matches only what rules before it take."""
    for found in subject.of(VirtualService):
        yield from _http(found)
        yield from _connections(found, "tls", [route.match for route in found.spec.tls])
        yield from _connections(found, "tcp", [route.match for route in found.spec.tcp])


def _connections(found: VirtualService, protocol: str, rules: Sequence[Sequence[Part]]) -> Iterator[Finding]:
    """Of rules for connections only those are told that repeat earlier matches, or follow one for everything."""
    seen: dict[str, int] = {}
    for number, matches in enumerate(rules):
        said = [repr(each) for each in matches] or [""]
        before = [seen.get(each, seen.get("")) for each in said]
        if all(each is not None for each in before):
            yield _unreached(found, f"$.spec.{protocol}[{number}]", f"{protocol}[{before[0]}]")
        for each in said:
            seen.setdefault(each, number)


def _http(found: VirtualService) -> Iterator[Finding]:
    earlier = _Earlier()
    for number, route in enumerate(found.spec.http):
        matches = route.match or (_EVERYTHING,)
        covers = [earlier.covering(match) for match in matches]
        if all(each is not None for each in covers):
            yield _unreached(found, f"$.spec.http[{number}]", f"http[{covers[0]}]")
        else:
            for index, each in enumerate(covers):
                if each is not None:
                    message = f"no request comes to it: http[{each}] takes all that it matches"
                    at = f"$.spec.http[{number}].match[{index}]"
                    yield finding(found, at, message, Code.INEFFECTIVE_MATCH)
        if _takes(route):
            for match in matches:
                earlier.add(_Place(number, match))


def _takes(route: HTTPRoute) -> bool:
    # A delegate takes what its own routes match alone.
    return route.delegate is None


def _unreached(found: VirtualService, at: str, before: str) -> Finding:
    message = (
        f"no request comes to it: {before} takes all that it matches (hint: put the narrower rule first)"
    )
    return finding(found, at, message, Code.UNREACHABLE_RULE)


class _Earlier:
    """Matches of rules, found by one condition of theirs that whatever they cover must have, too."""

    def __init__(self) -> None:
        self._by_condition: dict[Hashable, list[_Place]] = defaultdict(list)

    def add(self, place: _Place) -> None:
        self._by_condition[_condition(place.match)].append(place)

    def covering(self, match: HTTPMatchRequest) -> int | None:
        """The first rule with a match that takes all that `match` does."""
        for condition in _implied(match):
            for place in self._by_condition.get(condition, ()):
                if covers(place.match, match):
                    return place.rule
        return None


def _condition(match: HTTPMatchRequest) -> Hashable:
    if match.uri is not None:
        return _of_uri(match.uri, ignoring_case=match.ignore_uri_case)
    for name in ("headers", "without_headers", "query_params"):
        for key, text in getattr(match, name).items():
            return (name, key, text)
    for name in (*_TEXTS, *_PLAIN):
        if getattr(match, name):
            return (name, getattr(match, name))
    return None


def _implied(match: HTTPMatchRequest) -> Iterator[Hashable]:
    """The conditions by one of which a match that covers this one is kept."""
    yield None
    if match.uri is not None:
        ignoring = match.ignore_uri_case
        yield _of_uri(match.uri, ignoring_case=ignoring)
        yield _of_uri(match.uri, ignoring_case=True)
        text = match.uri.exact if match.uri.exact is not None else match.uri.prefix
        if text is not None:
            # Longer texts cost more looks; nobody has paths that are longer than a request's head.
            for end in range(len(text) + 1):
                yield ("prefix", text[:end], ignoring)
                yield ("prefix", text[:end].lower(), True)
    for name in ("headers", "without_headers", "query_params"):
        for key, text_match in getattr(match, name).items():
            yield (name, key, text_match)
            yield (name, key, StringMatch())
    for name in (*_TEXTS, *_PLAIN):
        if getattr(match, name):
            yield (name, getattr(match, name))


def _of_uri(uri: StringMatch, *, ignoring_case: bool) -> Hashable:
    kind = "exact" if uri.exact is not None else "prefix" if uri.prefix is not None else "regex"
    text = getattr(uri, kind) or ""
    return (kind, text.lower() if ignoring_case and kind != "regex" else text, ignoring_case)


def covers(one: HTTPMatchRequest, other: HTTPMatchRequest) -> bool:
    """Whether every request that meets `other` meets `one` as well."""
    if any(getattr(one, name) not in {0, "", getattr(other, name)} for name in _PLAIN):
        return False
    if any(not _text_covers(getattr(one, name), getattr(other, name)) for name in _TEXTS):
        return False
    if one.gateways and not (other.gateways and set(other.gateways) <= set(one.gateways)):
        return False
    if not one.source_labels.items() <= other.source_labels.items():
        return False
    return (
        _uri_covers(one, other)
        and _texts_cover(one.headers, other.headers)
        and _texts_cover(one.query_params, other.query_params)
        and all(other.without_headers.get(key) == text for key, text in one.without_headers.items())
    )


def _texts_cover(one: Mapping[str, StringMatch], other: Mapping[str, StringMatch]) -> bool:
    return all(key in other and _text_covers(text, other[key]) for key, text in one.items())


def _text_covers(one: StringMatch | None, other: StringMatch | None) -> bool:
    if one is None or (other is not None and one == StringMatch()):
        return True
    if other is None:
        return False
    return one == other or _begins(one.prefix, other)


def _begins(prefix: str | None, other: StringMatch) -> bool:
    text = other.exact if other.exact is not None else other.prefix
    return prefix is not None and text is not None and text.startswith(prefix)


def _uri_covers(one: HTTPMatchRequest, other: HTTPMatchRequest) -> bool:
    if one.uri is None or (one.uri.prefix == "/" and not one.uri.exact):
        return True
    if other.uri is None or (other.ignore_uri_case and not one.ignore_uri_case):
        return False
    if one.ignore_uri_case and one.uri.regex is None and other.uri.regex is None:
        return _text_covers(_lower(one.uri), _lower(other.uri))
    return _text_covers(one.uri, other.uri)


def _lower(text: StringMatch) -> StringMatch:
    return StringMatch(
        exact=text.exact.lower() if text.exact is not None else None,
        prefix=text.prefix.lower() if text.prefix is not None else None,
    )
