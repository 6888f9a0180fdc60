"""What depends on the tokens of callers, and so on the keys by which these are checked."""

from __future__ import annotations

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.http_route import CLAIMS
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.model.authorization_policies import looks_at_tokens


def depends_on_tokens(found: object) -> bool:
    """Whether policies or routes look at what a token says."""
    match found:
        case AuthorizationPolicy():
            return looks_at_tokens(found)
        case VirtualService():
            return any(
                name.startswith(CLAIMS)
                for route in found.spec.http
                for match in route.match
                for name in (*match.headers, *match.without_headers)
            )
    return False
