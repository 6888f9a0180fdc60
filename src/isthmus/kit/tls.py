"""TLS contexts from PEM in memory: for clients and for servers. Private keys never reach a disk on Linux."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def client_context(
    *,
    roots: bytes | None = None,
    certificate: bytes | None = None,
    key: bytes | None = None,
    verify: bool = True,
    alpn: tuple[str, ...] = (),
) -> ssl.SSLContext:
    """A context that trusts `roots` (None: the system's) and shows `certificate`, a PEM chain, if given.

    `verify=False` accepts any server: only for users who say so. Raises `ssl.SSLError` for PEM that is none,
    does not fit or is encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif roots is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=roots.decode("ascii", "replace"))
    _present(context, certificate, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def server_context(
    *,
    certificate: bytes,
    key: bytes,
    client_roots: bytes | None = None,
    require_client: bool = False,
    alpn: tuple[str, ...] = (),
) -> ssl.SSLContext:
    """A context that shows `certificate`, a PEM chain, and checks clients' certificates by `client_roots`.

    Without `client_roots` clients are asked for none; with them a client may show none, unless
    `require_client`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _present(context, certificate, key)
    if client_roots is not None:
        context.load_verify_locations(cadata=client_roots.decode("ascii", "replace"))
        context.verify_mode = ssl.CERT_REQUIRED if require_client else ssl.CERT_OPTIONAL
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _present(context: ssl.SSLContext, certificate: bytes | None, key: bytes | None) -> None:
    if certificate is None or key is None:
        return
    with _as_file(certificate + b"\n" + key) as path:
        # Without a password OpenSSL would ask the terminal for one, and wait.
        context.load_cert_chain(path, password="")


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path under which `content` can be read while the block runs: OpenSSL takes keys by path only."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").exists():
        number = os.memfd_create("pem")
        try:
            os.write(number, content)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name
