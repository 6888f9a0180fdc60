"""Where a gRPC server listens: in plain text, behind TLS, on a unix socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What a server shows, and by which roots it believes its clients. All PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_roots: bytes | None = None


@dataclass(frozen=True, slots=True)
class Plaintext:
    """TCP without encryption. Port 0: any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Unix:
    """A unix socket for its owner alone. A file that is left there from before is replaced."""

    path: str


@dataclass(frozen=True, slots=True)
class Secure:
    """TCP with TLS. Port 0: any free one.

    `certificate` is asked in every handshake, perhaps from a thread of gRPC's own: it must be quick and
    return the newest value, so that a rotation needs nothing more. Connections that stand keep what they
    have until `Limits.connection_age_s`. Clients must show a certificate that `client_roots` sign, or
    are not asked for one: gRPC's Python has no third way.
    """

    host: str
    port: int
    certificate: Callable[[], ServerCertificate]
    require_client: bool = True

    def first(self) -> ServerCertificate:
        """The certificate to begin with. Raises `ValueError` where there are no roots to check clients by."""
        now = self.certificate()
        if self.require_client and now.client_roots is None:
            raise ValueError(
                f"{self.host}:{self.port}: no roots to check clients by (hint: set client_roots)"
            )
        return now


Listener = Plaintext | Secure | Unix
