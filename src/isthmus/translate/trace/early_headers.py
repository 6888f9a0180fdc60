"""What is done to a request's headers before anything looks at them, its route included."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from isthmus.envoy.types import HeaderMutation, HttpConnectionManager
from isthmus.translate.trace.call import Request

_MUTATION = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"


def taken_in(manager: HttpConnectionManager, request: Request) -> Request:
    """The request without the headers that nobody may bring along."""
    gone = {each.lower() for mutation in _known(manager) for each in mutation}
    kept = tuple(pair for pair in request.headers if pair[0].lower() not in gone)
    return replace(request, headers=kept) if gone else request


def unknown(manager: HttpConnectionManager) -> Iterator[str]:
    """The names of those that do more, or other things."""
    named = [each.name for each in manager.early_header_mutation_extensions]
    yield from (name for name, does in zip(named, _known(manager), strict=True) if not all(does))


def _known(manager: HttpConnectionManager) -> list[list[str]]:
    """What each of them takes away; something empty stands for what it does besides."""
    return [
        [one.remove for one in HeaderMutation.FromString(each.typed_config.value).mutations]
        if each.typed_config.type_url.endswith(_MUTATION)
        else [""]
        for each in manager.early_header_mutation_extensions
    ]
