"""A certificate that somebody else keeps fresh in a folder, as a Secret of kind kubernetes.io/tls is mounted."""

from __future__ import annotations

from pathlib import Path

from isthmus.kit import x509
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import Clock
from isthmus.kit.scopes import admission as log
from isthmus.kit.watchable import Watchable
from isthmus.sidecar.certs import Held

CHAIN, KEY, ROOTS = "tls.crt", "tls.key", "ca.crt"
_LOOK_S = 2.0


class CertificateFolder:
    """Reads the three files again and again. `held` is the newest that can be used."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._complaint = ""
        self.held: Watchable[Held | None] = Watchable(None)

    async def run(self) -> None:
        """Follow the files until cancelled; those that cannot be used are told of, and the last good stay."""
        while True:
            self.look()
            await self._clock.sleep(_LOOK_S)

    def look(self) -> None:
        """Take the files as they are now."""
        try:
            self.held.set(self._read())
            self._complaint = ""
        except (OSError, ValueError) as error:
            if str(error) != self._complaint:
                kept = "the last stays" if self.held.value else "there is none"
                log.error("webhook certificate cannot be used", reason=str(error), kept=kept)
            self._complaint = str(error)

    def _read(self) -> Held:
        """What the files hold. Raises `OSError`, `ValueError`."""
        chain, key, roots = ((self._folder / name).read_bytes() for name in (CHAIN, KEY, ROOTS))
        leaf, *between = x509.load_bundle(chain) or (x509.load_certificate(chain),)
        if not x509.matches(leaf, x509.load_key(key)):
            raise ValueError(f"{self._folder}: {KEY} is not the key of {CHAIN}")
        try:
            verify_chain(leaf, between, x509.load_bundle(roots), self._clock.now())
        except ValueError as error:
            raise ValueError(f"{self._folder}: {CHAIN} is not of {ROOTS}: {error}") from error
        begin, end = x509.life(leaf)
        return Held(chain, key, roots, x509.serial(leaf), begin, end)
