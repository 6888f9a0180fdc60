"""TLS for our own server: the newest certificate for each handshake, and who is at the other end after it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from isthmus.kit import x509
from isthmus.kit.log import log
from isthmus.kit.tls import server_context
from isthmus.wire.listeners import Secure, ServerCertificate
from isthmus.wire.stream import Peer

ALPN = "h2"


class Contexts:
    """The TLS context of one listener, made anew where its certificate is another one."""

    def __init__(self, listener: Secure) -> None:
        """Raises `ValueError` or `ssl.SSLError` for a certificate that cannot be shown."""
        self._listener = listener
        self._shown = listener.first()
        self._context = self._made(self._shown)

    def newest(self) -> ssl.SSLContext:
        """The context for a handshake now. One that cannot be made leaves the one before."""
        shown = self._listener.certificate()
        if shown != self._shown:
            self._shown = shown
            try:
                self._context = self._made(shown)
            except (ssl.SSLError, ValueError) as error:
                log.error("certificate not shown", port=self._listener.port, error=str(error))
        return self._context

    def _made(self, shown: ServerCertificate) -> ssl.SSLContext:
        required = self._listener.require_client
        context = server_context(
            certificate=shown.certificate,
            key=shown.key,
            client_roots=shown.client_roots if required else None,
            require_client=required,
            alpn=(ALPN,),
        )
        # A session that is resumed would bring back who was believed then; and two tickets cost a third of a handshake.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        if required:
            # Whoever is among the roots is believed, be it signed by another or not: as gRPC's core does.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def proven(address: str, socket: ssl.SSLSocket) -> Peer:
    """Who has connected: by the certificate that the handshake has verified, or nobody."""
    shown = _chain(socket)
    if not shown:
        return Peer(address)
    chain = "".join(ssl.DER_cert_to_PEM_cert(each) for each in shown).encode()
    try:
        certificate = x509.load_certificate(chain)
        names = x509.names(certificate)
        end, serial = x509.life(certificate).end, x509.serial(certificate)
    except (x509.InvalidCertificate, ValueError):
        # One that we cannot read has ended, and says no names.
        return Peer(address, end=0.0, chain=chain)
    return Peer(address, names.uris, names.dns, end, chain, serial)


def _chain(socket: ssl.SSLSocket) -> Sequence[bytes]:
    """In DER: the certificate that was verified, then those that were shown with it."""
    own = socket.getpeercert(binary_form=True)
    if not own:
        return ()
    inner = socket._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - public from Python 3.13 on
    shown = [each.public_bytes(2) for each in inner.get_unverified_chain() or ()]
    return (own, *(each for each in shown if each != own))
