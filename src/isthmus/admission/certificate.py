"""The certificate that webhooks show: whether API servers will believe it, and as OpenSSL takes it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextlib import suppress

from isthmus.kit import x509
from isthmus.kit.chain import verify_chain
from isthmus.kit.tls import server_context
from isthmus.sidecar.certs import Held


class NoServer(ValueError):
    """A certificate by which API servers will not take us for the webhook; the message says why."""


def shown(held: Held, host: str) -> ssl.SSLContext:
    """What connections to `host` are shown. Raises `NoServer`."""
    try:
        leaf = x509.load_certificate(held.chain)
        names = x509.names(leaf).dns
        context = server_context(certificate=held.chain, key=held.key)
    except (ssl.SSLError, ValueError) as error:
        raise NoServer(f"the certificate cannot be used: {error}") from error
    if not any(_fits(name, host) for name in names):
        said = ", ".join(names) or "no DNS name"
        raise NoServer(
            f"the certificate is not for {host}, by which API servers call, but for {said} "
            "(hint: Citadel names the control plane's accounts so; where others sign, a folder with tls.crt, "
            "tls.key and ca.crt: --webhook-certificate-dir)"
        )
    return context


def is_for(held: Held, host: str) -> bool:
    """Whether who calls `host`, a name or an address, would take the certificate for its own."""
    try:
        said = x509.names(x509.load_certificate(held.chain))
    except ValueError:
        return False
    return host in said.addresses or any(_fits(name, host) for name in said.dns)


def root_of(held: Held, now: float) -> str:
    """The fingerprint of the root that it is of. Raises `NoServer`."""
    return x509.fingerprint(_path(held, held.roots, now)[-1])


def bundle(held: Held, texts: Iterable[bytes], now: float) -> bytes:
    """The roots in all `texts`, in PEM, by which API servers are to believe us; none that has ended.

    While roots are rotated that is both, whichever text has them first. Raises `NoServer` where our own certificate
    would not be believed by them.
    """
    roots: dict[str, x509.Certificate] = {}
    for text in texts:
        with suppress(x509.InvalidPem):  # of a text that others write; ours is looked at below
            for each in x509.load_bundle(text):
                if now < x509.life(each).end:
                    roots.setdefault(x509.fingerprint(each), each)
    made = x509.bundle_pem(roots.values())
    _path(held, made, now)
    return made


def _path(held: Held, roots: bytes, now: float) -> tuple[x509.Certificate, ...]:
    try:
        leaf, *between = x509.load_bundle(held.chain)
        return tuple(verify_chain(leaf, between, x509.load_bundle(roots), now))
    except ValueError as error:
        raise NoServer(f"the certificate is not of the roots: {error}") from error


def _fits(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:]
    return name.lower() == host.lower()
