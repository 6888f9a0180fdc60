"""Who calls: by the token it sends, or by the certificate that its connection showed where it sends none."""

from __future__ import annotations

from isthmus.ca.attest import Attester, Caller
from isthmus.ca.holders import Holders
from isthmus.wire.stream import Call

CLAIM = "clusterid"
"""The metadata in which a caller says in which cluster it is."""


class Callers:
    """Both proofs."""

    def __init__(self, attester: Attester, holders: Holders) -> None:
        self._attester, self._holders = attester, holders

    async def of(self, call: Call) -> Caller:
        """Who it is. Raises `NotProven`, and `ReviewUnavailable` where nobody can say."""
        authorization = call.metadata.get("authorization", "")
        if call.peer.chain and not authorization:
            return self._holders.by_certificate(call.peer.chain)
        return await self._attester.by_token(authorization, call.metadata.get(CLAIM, ""))
