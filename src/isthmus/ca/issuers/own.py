"""Our own authority as an issuer: the newest one that Citadel has."""

from __future__ import annotations

from isthmus.ca.authority import Authority, Issued
from isthmus.ca.issuers import Order
from isthmus.kit.watchable import Watchable


class OwnIssuer:
    """Signs with the newest `authority`, at once."""

    name = "own"

    def __init__(self, authority: Watchable[Authority]) -> None:
        self._authority = authority

    @property
    def roots_pem(self) -> bytes:
        return self._authority.value.roots_pem

    async def issue(self, order: Order) -> Issued:
        """See `Issuer`."""
        return self._authority.value.sign(order.csr, order.identity, order.lifetime_s, order.dns)
