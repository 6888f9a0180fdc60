"""Where a gRPC server listens: in plain text, behind TLS, on a unix socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import grpc
import grpc.aio


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

    def open(self, server: grpc.aio.Server) -> str:
        """Bind; returns the address that clients dial."""
        return f"{self.host}:{server.add_insecure_port(f'{self.host}:{self.port}')}"


@dataclass(frozen=True, slots=True)
class Unix:
    """A unix socket for its owner alone. A file that is left there from before is replaced."""

    path: str

    def open(self, server: grpc.aio.Server) -> str:
        """Bind; returns the address that clients dial."""
        Path(self.path).unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{self.path}")
        Path(self.path).chmod(0o600)
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Secure:
    """TCP with TLS. Port 0: any free one.

    `certificate` is asked in every handshake, from a thread of gRPC's own: it must be quick and return
    the newest value, so that a rotation needs nothing more. Connections that stand keep what they
    have until `Limits.connection_age_s`. Clients must show a certificate that `client_roots` sign, or
    are not asked for one: gRPC's Python has no third way.
    """

    host: str
    port: int
    certificate: Callable[[], ServerCertificate]
    require_client: bool = True

    def open(self, server: grpc.aio.Server) -> str:
        """Bind; returns the address that clients dial. Raises `ValueError` for roots that are missing."""
        now = self.certificate()
        if self.require_client and now.client_roots is None:
            raise ValueError(
                f"{self.host}:{self.port}: no roots to check clients by (hint: set client_roots)"
            )
        newer = _Newer(self.certificate, now).configuration
        credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(now),
            newer,  # type: ignore[arg-type] # None is "no change", which the stubs do not know
            self.require_client,
        )
        return f"{self.host}:{server.add_secure_port(f'{self.host}:{self.port}', credentials)}"


Listener = Plaintext | Secure | Unix


class _Newer:
    """Tells gRPC of a certificate only where it is another one.

    The core (1.85) takes each that it is told into use while other threads still take up the one before, and aborts
    the process when that goes wrong: told at every handshake, a few hundred at once were enough for anybody to end us.
    """

    def __init__(self, certificate: Callable[[], ServerCertificate], told: ServerCertificate) -> None:
        self._certificate, self._told = certificate, told
        self._lock = Lock()

    def configuration(self) -> grpc.ServerCertificateConfiguration | None:
        """The newest certificate, or None where gRPC has it. Called from threads of gRPC's."""
        with self._lock:
            newest = self._certificate()
            if newest == self._told:
                return None
            self._told = newest
            return _configuration(newest)


def _configuration(shown: ServerCertificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(shown.key, shown.certificate)], root_certificates=shown.client_roots
    )
