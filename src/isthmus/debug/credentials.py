"""Until when Pilot may read a cluster, by the token or certificate that it shows there."""

from __future__ import annotations

import math

from isthmus.ca import claims
from isthmus.kit import x509
from isthmus.kube.kubeconfig import ClientCertificate, Credentials, Token


def end_of(credentials: Credentials) -> float | None:
    """Seconds of the epoch; None for those that do not end, or that somebody else renews."""
    match credentials:
        case Token(token):
            said = claims.read(str.__str__(token))
            return said.end if said is not None and said.end != math.inf else None
        case ClientCertificate(certificate):
            try:
                return x509.life(x509.load_certificate(certificate)).end
            except x509.InvalidCertificate:
                return None
        case _:
            return None
