"""Header operations of a route, or of a share of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from isthmus.api.istio.http_route import HeaderOperations, Headers
from isthmus.envoy.format_string import format_string
from isthmus.envoy.types import HeaderValue, HeaderValueOption, Route, WeightedCluster
from isthmus.translate.errors import at

_HOST = frozenset({"host", ":authority"})
"""Set by rewriting the host: Envoy forbids them among other headers."""

_TOKEN = re.compile(r"[0-9A-Za-z!#$%&'*+\-.^_|~`]+")
"""Source: RFC 9110, token. Envoy takes more, and sends what the other side then refuses."""

Carrier = Route | WeightedCluster.ClusterWeight


def apply_headers(carrier: Carrier, headers: Headers) -> None:
    """Sets, adds and removes what `headers` says on the way there and back.

    Raises `Unsayable` for what Envoy calls a pseudo-header (`:path`), and for a % that starts no command.
    """
    with at("headers.request"):
        carrier.request_headers_to_add.extend(_options(headers.request))
        carrier.request_headers_to_remove.extend(_removed(headers.request))
    with at("headers.response"):
        carrier.response_headers_to_add.extend(_options(headers.response))
        carrier.response_headers_to_remove.extend(_removed(headers.response))


def host_of(headers: Headers | None) -> str:
    """The host that a request is given by `headers`; empty where they leave it."""
    if headers is None:
        return ""
    return next((value for name, value in headers.request.set.items() if name.lower() in _HOST), "")


def _options(operations: HeaderOperations) -> Iterator[HeaderValueOption]:
    yield from _each("set", operations.set, HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
    yield from _each("add", operations.add, HeaderValueOption.APPEND_IF_EXISTS_OR_ADD)


def _each(
    path: str, values: Mapping[str, str], action: HeaderValueOption.HeaderAppendAction
) -> Iterator[HeaderValueOption]:
    for name in sorted(values):
        if name.lower() not in _HOST:
            with at(f"{path}[{name!r}]"):
                header = HeaderValue(key=_changeable(name), value=format_string(values[name]))
            yield HeaderValueOption(header=header, append_action=action)


def _removed(operations: HeaderOperations) -> list[str]:
    with at("remove"):
        return [_changeable(name) for name in operations.remove if name.lower() not in _HOST]


def _changeable(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no header that can be changed (hint: letters, digits and hyphens)")
    return name
