"""Header operations of a route, or of a share of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.api.istio.virtual_service import HeaderOperations, Headers
from isthmus.envoy.types import HeaderValue, HeaderValueOption, Route, WeightedCluster

_HOST = frozenset({"host", ":authority"})
"""Set by rewriting the host: Envoy forbids them among other headers."""

Carrier = Route | WeightedCluster.ClusterWeight


def apply_headers(carrier: Carrier, headers: Headers) -> None:
    """Sets, adds and removes what `headers` says on the way there and back."""
    carrier.request_headers_to_add.extend(_options(headers.request))
    carrier.request_headers_to_remove.extend(_removed(headers.request))
    carrier.response_headers_to_add.extend(_options(headers.response))
    carrier.response_headers_to_remove.extend(_removed(headers.response))


def host_of(headers: Headers | None) -> str:
    """The host that a request is given by `headers`; empty where they leave it."""
    if headers is None:
        return ""
    return next((value for name, value in headers.request.set.items() if name.lower() in _HOST), "")


def _options(operations: HeaderOperations) -> Iterator[HeaderValueOption]:
    yield from _each(operations.set, HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
    yield from _each(operations.add, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD)


def _each(
    values: Mapping[str, str], action: HeaderValueOption.HeaderAppendAction
) -> Iterator[HeaderValueOption]:
    for name in sorted(values):
        if name.lower() not in _HOST:
            yield HeaderValueOption(header=HeaderValue(key=name, value=values[name]), append_action=action)


def _removed(operations: HeaderOperations) -> list[str]:
    return [name for name in operations.remove if name.lower() not in _HOST]
