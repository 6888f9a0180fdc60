"""The certificate that Citadel itself shows: signed by its own authority, renewed at half of its life."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.ca.authority import Authority
from isthmus.kit import x509
from isthmus.kit.clock import Clock
from isthmus.kit.watchable import Watchable
from isthmus.model.identity import SpiffeId
from isthmus.wire.listeners import ServerCertificate


class ServingCertificate:
    """The newest certificate of our server; call it from any thread."""

    def __init__(
        self,
        authority: Watchable[Authority],
        identity: SpiffeId,
        dns: Sequence[str],
        lifetime_s: float,
        clock: Clock,
    ) -> None:
        self._authority, self._identity, self._dns = authority, identity, tuple(dns)
        self._lifetime_s, self._clock = lifetime_s, clock
        self._shown: tuple[Authority, float, ServerCertificate] | None = None

    def __call__(self) -> ServerCertificate:
        """The certificate to show now: made anew past half of its life, or under a new authority.

        Takes a fifth of a millisecond when it is made. Two threads may make one each; both are good.
        """
        now, authority = self._clock.now(), self._authority.value
        shown = self._shown
        if shown is None or shown[0] is not authority or now >= shown[1]:
            shown = self._shown = self._make(authority, now)
        return shown[2]

    def _make(self, authority: Authority, now: float) -> tuple[Authority, float, ServerCertificate]:
        key = x509.new_key()
        issued = authority.sign_server(key.public_key(), self._identity, self._dns, self._lifetime_s)
        shown = ServerCertificate(issued.pem, x509.key_pem(key), authority.roots_pem)
        return authority, now + (issued.end - now) / 2, shown
