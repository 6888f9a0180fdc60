"""The roots by which certificates of an external issuer are believed: of a file, told, or those that came along."""

from __future__ import annotations

import asyncio
from pathlib import Path

from isthmus.ca.issuers import IssuerRefused
from isthmus.kit import x509
from isthmus.kit.watchable import Watchable


class Trusted:
    """`pem` is the newest set. Roots that came along are kept beside newer ones until they end."""

    def __init__(self, file: Path | None, hint: str = "--issuer-roots FILE") -> None:
        """`hint`: where roots can be told that nobody tells."""
        self._file, self._hint = file, hint
        self.pem: Watchable[bytes] = Watchable(b"")

    async def roots_with(self, came: bytes, now: float) -> tuple[x509.Certificate, ...]:
        """The roots to believe once `came` (PEM) was brought by a certificate. Raises `IssuerRefused`."""
        try:
            if self._file is not None:
                self.pem.set(await asyncio.to_thread(self._file.read_bytes))
            elif came.strip():
                self._add(came, now)
            roots = x509.load_bundle(self.pem.value)
        except OSError as error:
            raise IssuerRefused(f"{self._file}: {error.strerror} (hint: the roots of the issuer)") from error
        except x509.InvalidCertificate as error:
            raise IssuerRefused(f"its roots cannot be used: {error}") from error
        if not roots:
            raise IssuerRefused(f"it does not say which root it is of (hint: {self._hint})")
        return roots

    def told(self, roots: bytes) -> None:
        """Believe these, and no others any more."""
        self.pem.set(roots)

    def _add(self, came: bytes, now: float) -> None:
        fresh = x509.load_bundle(came)
        before = [each for each in x509.load_bundle(self.pem.value) if x509.life(each).end > now]
        together = [*fresh, *(each for each in before if each not in fresh)]
        if set(together) != set(x509.load_bundle(self.pem.value)):
            self.pem.set(x509.bundle_pem(together))
