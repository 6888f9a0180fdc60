"""Where a gRPC server listens: in plain text, behind TLS, on a unix socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

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
    """A unix socket. A file that is left there from before is replaced."""

    path: str

    def open(self, server: grpc.aio.Server) -> str:
        """Bind; returns the address that clients dial."""
        Path(self.path).unlink(missing_ok=True)
        server.add_insecure_port(f"unix:{self.path}")
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
        credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(now), lambda: _configuration(self.certificate()), self.require_client
        )
        return f"{self.host}:{server.add_secure_port(f'{self.host}:{self.port}', credentials)}"


Listener = Plaintext | Secure | Unix


def _configuration(shown: ServerCertificate) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(shown.key, shown.certificate)], root_certificates=shown.client_roots
    )
