"""Who makes a request: by the client's certificate, or by a bearer token."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from isthmus.lab.apiserver.tokens import Tokens
from isthmus.lab.apiserver.users import ADMIN, AUTHENTICATED, Unauthenticated, User

PeerCertificate = Mapping[str, Any]
"""What `ssl.SSLSocket.getpeercert()` gives; empty where the client showed no certificate."""


class Authentication:
    """Proves users to one API server."""

    def __init__(self, tokens: Tokens, admin_token: str) -> None:
        self._tokens = tokens
        self._admin_token = admin_token

    def user(self, authorization: str, certificate: PeerCertificate | None) -> User:
        """Who asks, by the header `Authorization` or the certificate that TLS has checked.

        Raises `Unauthenticated`, also where nothing was shown: there are no anonymous users here.
        """
        kind, _, token = authorization.partition(" ")
        if kind.lower() == "bearer" and token.strip():
            return self._bearer(token.strip())
        if certificate:
            return certificate_user(certificate)
        raise Unauthenticated("no credentials")

    def owner(self, token: str) -> User | None:
        """Whose static token it is; there is the administrator's only."""
        return ADMIN if hmac.compare_digest(token.encode(), self._admin_token.encode()) else None

    def _bearer(self, token: str) -> User:
        return self.owner(token) or self._tokens.verify(token).user


def certificate_user(certificate: PeerCertificate) -> User:
    """The user whom a client's certificate names: the common name, in the organizations' groups."""
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for key, value in subject if key == "commonName"]
    if not names:
        raise Unauthenticated("the client's certificate has no common name")
    groups = tuple(value for key, value in subject if key == "organizationName")
    return User(names[0], (*groups, AUTHENTICATED))
