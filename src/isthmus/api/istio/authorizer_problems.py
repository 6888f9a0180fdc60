"""What is wrong with a provider that is asked whether requests may pass."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.api.errors import Problem
from isthmus.api.istio import text_problems as texts
from isthmus.api.istio.extension_provider import ExternalAuthorizer, HttpAuthorizer

# Source: Envoy's HttpStatus, all that it has a name for.
_STATUSES = frozenset(
    {
        *(100, *range(200, 209), 226, *range(300, 306), 307, 308),
        *(*range(400, 418), *range(421, 425), 426, 428, 429, 431),
        *(*range(500, 509), 510, 511),
    }
)


def authorizer_problems(at: str, found: ExternalAuthorizer) -> Iterator[Problem]:
    """Everything that is wrong, each with its path and the mend."""
    status = found.status_on_error
    if status and not (status.isascii() and status.isdecimal() and int(status[:4]) in _STATUSES):
        yield f"{at}.statusOnError", f'{status!r} is no status that Envoy knows (hint: "403", "503")'
    body = found.include_request_body_in_check
    if body is not None and not body.max_request_bytes:
        yield f"{at}.includeRequestBodyInCheck.maxRequestBytes", "is missing (hint: 8192)"
    if not isinstance(found, HttpAuthorizer):
        return
    if found.path_prefix and not found.path_prefix.startswith("/"):
        yield f"{at}.pathPrefix", f"{found.path_prefix!r} is no path (hint: it begins with /)"
    for name in found.include_additional_headers_in_check:
        yield from texts.header(f"{at}.includeAdditionalHeadersInCheck", name)
    for field, names in (
        ("includeRequestHeadersInCheck", found.include_request_headers_in_check),
        ("includeHeadersInCheck", found.include_headers_in_check),
        ("headersToUpstreamOnAllow", found.headers_to_upstream_on_allow),
        ("headersToDownstreamOnDeny", found.headers_to_downstream_on_deny),
        ("headersToDownstreamOnAllow", found.headers_to_downstream_on_allow),
    ):
        for index, name in enumerate(names):
            yield from texts.header(f"{at}.{field}[{index}]", name)
