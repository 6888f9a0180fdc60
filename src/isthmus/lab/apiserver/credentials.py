"""The secrets of one cluster: its CA, the server's certificate, the administrator's, the tokens' key."""

from __future__ import annotations

import base64
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.kit.tls import server_context
from isthmus.kit.x509 import Issuer, Life, Names, bundle_pem, key_pem, leaf, new_key, root
from isthmus.lab.apiserver.users import ADMIN, MASTERS

Json = dict[str, Any]

_YEAR_S = 365 * 86400.0
_DNS_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both in PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Pair(<redacted>)"


class ClusterCredentials:
    """Made anew for every cluster, by whoever starts it at `now`, in seconds since the epoch."""

    def __init__(self, cluster: str, addresses: Iterable[str], now: float) -> None:
        self.cluster = cluster
        self._life = Life.at(now, _YEAR_S)
        key = new_key()
        self._issuer = Issuer(root(key, f"{cluster}-ca", Life.at(now, 10 * _YEAR_S)), key)
        self.ca, self.ca_key = bundle_pem([self._issuer.certificate]), key_pem(key)
        self.admin_token = secrets.token_urlsafe(32)
        self.token_key = ec.generate_private_key(ec.SECP256R1())
        self.serving = self.server("kube-apiserver", addresses, _DNS_NAMES)
        self.admin = self.client(ADMIN.name, (MASTERS,))

    def __repr__(self) -> str:
        return f"ClusterCredentials({self.cluster!r})"

    def client(self, user: str, groups: tuple[str, ...] = ()) -> Pair:
        """A certificate that proves to the API server that its holder is `user` and in `groups`."""
        key = new_key()
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.fromtimestamp(int(self._life.begin), UTC))
            .not_valid_after(datetime.fromtimestamp(int(self._life.end), UTC))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(self._issuer.key, hashes.SHA256())
        )
        return Pair(bundle_pem([certificate]), key_pem(key))

    def server_context(self) -> ssl.SSLContext:
        """For the API server's listener: its certificate; clients may show one of this CA."""
        return server_context(
            certificate=self.serving.certificate, key=self.serving.key, client_roots=self.ca
        )

    def kubeconfig(self, server: str, *, token: str | None = None, user: str = ADMIN.name) -> Json:
        """A kubeconfig for the API server at `server` (a URL), for the administrator or a token's owner.

        Its names carry the cluster's, so that several files in $KUBECONFIG do not take each other's user.
        """
        proof: Json = {"token": token} if token is not None else _embedded(self.admin)
        name = f"{user}@{self.cluster}"
        entry = {"server": server, "certificate-authority-data": _base64(self.ca)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.cluster, "cluster": entry}],
            "users": [{"name": name, "user": proof}],
            "contexts": [{"name": self.cluster, "context": {"cluster": self.cluster, "user": name}}],
            "current-context": self.cluster,
            "preferences": {},
        }

    def server(self, name: str, addresses: Iterable[str], dns_names: tuple[str, ...] = ()) -> Pair:
        """A certificate for who serves at `addresses` and under those names."""
        key = new_key()
        names = Names(dns=dns_names, addresses=tuple(addresses), common_name=name)
        certificate = leaf(self._issuer, key.public_key(), names, self._life)
        return Pair(bundle_pem([certificate, self._issuer.certificate]), key_pem(key))


def _embedded(pair: Pair) -> Json:
    return {
        "client-certificate-data": _base64(pair.certificate),
        "client-key-data": _base64(pair.key),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
