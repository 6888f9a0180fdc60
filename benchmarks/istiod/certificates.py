"""One CA for both control planes, and a certificate for the proxies of each namespace."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.fleet.workers import Certificate

from isthmus.kit import x509

_LIFE_S = 86_400.0


class Authority:
    """The four files of a CA that Istio calls `cacerts`, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._life = x509.Life.at(time.time(), _LIFE_S)
        root_key, key = x509.new_key(), x509.new_key()
        root = x509.root(root_key, "benchmark root", self._life)
        above = x509.Issuer(root, root_key)
        own = x509.intermediate(above, key.public_key(), "benchmark CA", self._life)
        self._issuer = x509.Issuer(own, key)
        self.roots, self.token = folder / "root-cert.pem", folder / "token"
        for name, content in {
            "root-cert.pem": x509.bundle_pem([root]),
            "ca-cert.pem": x509.bundle_pem([own]),
            "cert-chain.pem": x509.bundle_pem([own]),
            "ca-key.pem": x509.key_pem(key),
        }.items():
            (folder / name).write_bytes(content)

    def of_namespaces(self, names: Iterable[str]) -> dict[str, Certificate]:
        """For the account `default` of each."""
        return {name: self._certificate(name) for name in names}

    def _certificate(self, namespace: str) -> Certificate:
        key = x509.new_key()
        names = x509.Names(uris=(f"spiffe://cluster.local/ns/{namespace}/sa/default",))
        leaf = x509.leaf(self._issuer, key.public_key(), names, self._life)
        chain, private = self.folder / f"{namespace}.pem", self.folder / f"{namespace}.key"
        chain.write_bytes(x509.bundle_pem([leaf, self._issuer.certificate]))
        private.write_bytes(x509.key_pem(key))
        return Certificate(str(chain), str(private), str(self.roots))
