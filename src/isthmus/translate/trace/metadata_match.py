"""Envoy's matchers of metadata: what filters have left, and parts of it. Source: Envoy's MetadataMatcher reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.envoy.types import MetadataMatcher, ValueMatcher
from isthmus.translate.trace.call import Untraceable
from isthmus.translate.trace.text_match import text_matches

Json = Any


class _Nothing:
    """Where there is no value, not even null."""


NOTHING = _Nothing()


def metadata_matches(matcher: MetadataMatcher, metadata: Mapping[str, Json]) -> bool:
    """Whether what `metadata` has at the matcher's path is as it asks."""
    return _holds(matcher.value, value_at(matcher, metadata)) != matcher.invert


def value_at(matcher: MetadataMatcher, metadata: Mapping[str, Json]) -> Json:
    """What is at the matcher's path; `NOTHING` where the path leads nowhere."""
    found: Json = metadata.get(matcher.filter, NOTHING)
    for segment in matcher.path:
        found = found.get(segment.key, NOTHING) if isinstance(found, Mapping) else NOTHING
    return found


def _holds(matcher: ValueMatcher, value: Json) -> bool:
    match matcher.WhichOneof("match_pattern"):
        case "null_match":
            return value is None
        case "present_match":
            return (value is not NOTHING) == matcher.present_match
        case "string_match":
            return isinstance(value, str) and text_matches(matcher.string_match, value)
        case "bool_match":
            return isinstance(value, bool) and value == matcher.bool_match
        case "double_match":
            return _is_number(value) and _number_holds(matcher, float(value))
        case "list_match":
            one = matcher.list_match.one_of
            return isinstance(value, list) and any(_holds(one, each) for each in value)
        case "or_match":
            return any(_holds(each, value) for each in matcher.or_match.value_matchers)
        case other:
            raise Untraceable(f"a value is matched by {other or 'nothing'}, which the trace does not know")


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_holds(matcher: ValueMatcher, value: float) -> bool:
    asked = matcher.double_match
    if asked.WhichOneof("match_pattern") == "exact":
        return value == asked.exact
    return asked.range.start <= value < asked.range.end
