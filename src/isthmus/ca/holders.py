"""Callers by the certificate that they hold: who has one that is still good may have the next.

The handshake has checked already that the caller has the key. What was good then may have ended since, so
everything is looked at again for each request.
"""

from __future__ import annotations

from collections.abc import Callable

from isthmus.ca.attest import Caller, NotProven, NotVouched
from isthmus.ca.vouching import Vouchers
from isthmus.kit import x509
from isthmus.kit.chain import Broken, InvalidChain, verify_chain
from isthmus.kit.clock import Clock
from isthmus.model.identity import SpiffeId, cluster_of

_REASONS = {Broken.TIME: "certificate expired", Broken.NO_ISSUER: "certificate foreign"}


class Holders:
    """Believes certificates of the trust domain that `roots` (PEM) sign, and that name a cluster which vouches."""

    def __init__(
        self, roots: Callable[[], bytes], vouchers: Vouchers, trust_domain: str, clock: Clock
    ) -> None:
        self._roots, self._vouchers = roots, vouchers
        self._trust_domain, self._clock = trust_domain, clock

    def by_certificate(self, chain: bytes) -> Caller:
        """The identity in the first certificate of `chain` (PEM). Raises `NotProven`."""
        leaf = self._verified(chain)
        names = x509.names(leaf)
        try:
            (uri,) = names.uris
            identity = SpiffeId.parse(uri)
        except ValueError as error:
            raise NotProven("not a workload", f"the certificate is for {names.uris}, no workload") from error
        if identity.trust_domain != self._trust_domain:
            text = f"the certificate is of trust domain {identity.trust_domain!r}, not {self._trust_domain!r}"
            raise NotProven("certificate foreign", text)
        cluster = next((found for name in names.dns if (found := cluster_of(name, self._trust_domain))), "")
        voucher = self._vouchers.named(cluster)
        if voucher.cluster != cluster or not voucher.covers(identity.namespace):
            raise NotVouched(
                "not vouched",
                f"the certificate was issued by the word of cluster {cluster!r}, which does not count for namespace "
                f"{identity.namespace!r} (hint: ask with a token)",
            )
        serial = x509.serial(leaf)
        return Caller(identity, cluster, proof=f"certificate {serial}", serial=serial)

    def _verified(self, chain: bytes) -> x509.Certificate:
        try:
            leaf, *between = x509.load_bundle(chain)
            verify_chain(leaf, between, x509.load_bundle(self._roots()), self._clock.now())
        except InvalidChain as error:
            reason = _REASONS.get(error.reason, "certificate refused")
            raise NotProven(reason, f"the certificate is not to be believed: {error}") from error
        except ValueError as error:
            raise NotProven("certificate refused", f"the certificate cannot be read: {error}") from error
        if x509.is_authority(leaf):
            raise NotProven("not a workload", "the certificate is a CA's, no workload's")
        return leaf
