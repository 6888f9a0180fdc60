"""The certificate that Citadel itself shows where another signs: ordered like any, renewed at half of its life."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.ca.authority import Issued
from isthmus.ca.issuers import Issuer, NotIssued, Order
from isthmus.kit import x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import ca as log
from isthmus.kit.watchable import Watchable
from isthmus.model.identity import SpiffeId
from isthmus.wire.listeners import ServerCertificate


class OrderedServing:
    """Keeps a certificate of `issuer`; call it for the newest, once there is one, from any thread."""

    def __init__(
        self, issuer: Issuer, identity: SpiffeId, dns: Sequence[str], lifetime_s: float, clock: Clock
    ) -> None:
        self._issuer, self._identity, self._dns = issuer, identity, tuple(dns)
        self._lifetime_s, self._clock = lifetime_s, clock
        self.held: Watchable[tuple[Issued, ServerCertificate] | None] = Watchable(None)
        self.trouble = "no certificate yet"
        """Why there is none, or the newest could not be had; empty where all is well."""

    def __call__(self) -> ServerCertificate:
        """The certificate to show now. Raises `RuntimeError` before there is one."""
        if self.held.value is None:
            raise RuntimeError(self.trouble)
        return self.held.value[1]

    async def first(self) -> None:
        """Return when there is one."""
        async for held in self.held.changes():
            if held is not None:
                return

    async def run(self) -> None:
        """Order and renew until cancelled; what fails is tried again."""
        backoff = Backoff(0.5, 30.0)
        while True:
            try:
                issued = await self._order()
            except (NotIssued, ValueError) as error:
                self.trouble = str(error)
                log.warning("no certificate for citadel", issuer=self._issuer.name, reason=self.trouble)
                await self._clock.sleep(backoff.next_s())
                continue
            backoff.reset()
            self.trouble = ""
            await self._clock.sleep(max((issued.end - self._clock.now()) / 2, 1.0))

    async def _order(self) -> Issued:
        key = x509.new_key()
        csr = x509.new_csr(key, x509.Names(uris=(str(self._identity),), dns=self._dns))
        issued = await self._issuer.issue(Order(csr, self._identity, self._lifetime_s, self._dns))
        shown = ServerCertificate(issued.pem, x509.key_pem(key), self._issuer.roots_pem)
        self.held.set((issued, shown))
        return issued
