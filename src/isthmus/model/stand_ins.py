"""Where what counts is not what anybody wrote: objects that keep callers out, and were wrong from the beginning."""

from __future__ import annotations

import msgspec

from isthmus.api.istio.authorization_policy import AuthorizationPolicy
from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.resource import Object, Ref
from isthmus.model.change import Refused
from isthmus.model.findings import Finding
from isthmus.model.names import ClusterId

Key = tuple[ClusterId, Ref]

_MEANWHILE = {
    AuthorizationPolicy: "; until it is mended what is wrong lets nobody in",
    PeerAuthentication: "; until it is mended what is wrong counts as STRICT",
}


class StandIns:
    """Which objects stand in for those that are wrong."""

    def __init__(self) -> None:
        self._there: dict[Key, Object] = {}

    def after(self, key: Key, wrong: Refused, held: Object | None) -> tuple[Finding, Object]:
        """What is to be said of what is wrong, and what counts: the last good one, else what stands in for it."""
        if held is not None and held != self._there.get(key):
            return wrong.finding, held
        self._there[key] = wrong.instead
        message = wrong.finding.message + _MEANWHILE.get(type(wrong.instead), "")
        return msgspec.structs.replace(wrong.finding, message=message), wrong.instead
