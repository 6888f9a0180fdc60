"""Certificates and keys in files beside Envoy, by the names that Pilot gives them: `file-cert:…`, `file-root:…`.

Envoy would refuse a whole listener for one file that is not there. So the agent reads them, and again when they change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from isthmus.kit.scopes import agent as log
from isthmus.kit.versioned import Versioned
from isthmus.sidecar.secret_messages import key_pair, trust
from isthmus.translate.names import FILE_CERTIFICATE, FILE_ROOTS, SYSTEM

SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",
)
"""Where systems keep the CAs that they trust; the first that is there counts."""


class FileSecrets:
    """Reads what is asked for. A file that cannot be read is said in the log, once until it can be again."""

    def __init__(self, system_files: tuple[str, ...] = SYSTEM_FILES) -> None:
        self._system_files = system_files
        self._missing: set[str] = set()

    @staticmethod
    def are_among(names: Iterable[str]) -> bool:
        """Whether any of `names` stands for files."""
        return any(name.startswith((FILE_CERTIFICATE, FILE_ROOTS)) for name in names)

    def read(self, names: Iterable[str]) -> Mapping[str, Versioned]:
        """The secrets among `names` that stand for files that can be read now. It waits for the disk."""
        found: dict[str, Versioned] = {}
        for name in names:
            if not self.are_among([name]):
                continue
            try:
                found[name] = Versioned.of(name, self._body(name))
                self._missing.discard(name)
            except OSError as error:
                if name not in self._missing:
                    log.warning("a file with a certificate cannot be read", secret=name, error=str(error))
                self._missing.add(name)
        return found

    def _body(self, name: str) -> bytes:
        first, _, second = name.partition(":")[2].partition("~")
        if name.startswith(FILE_CERTIFICATE):
            return key_pair(name, Path(first).read_bytes(), Path(second).read_bytes())
        revoked = Path(second).read_bytes() if second else b""
        return trust(name, self._roots(first), revoked)

    def _roots(self, path: str) -> bytes:
        if path != SYSTEM:
            return Path(path).read_bytes()
        for each in self._system_files:
            if Path(each).is_file():
                return Path(each).read_bytes()
        raise FileNotFoundError(f"no CAs of the system in {', '.join(self._system_files)}")
