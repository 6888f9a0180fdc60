"""OCSP staples: what a CA says of one certificate, shown beside it so that nobody needs to ask (RFC 6960)."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509 import ocsp

from isthmus.kit.x509 import Certificate, extension


class InvalidStaple(ValueError):
    """What is no answer of a CA about that certificate."""


def staple_end(der: bytes, certificate: Certificate) -> float:
    """Until when the answer in `der` holds, in seconds since the epoch; 0 where it does not say it.

    Raises `InvalidStaple` where it is not a good one about `certificate` alone: Envoy would refuse it.
    """
    try:
        found = ocsp.load_der_ocsp_response(der)
        answers = list(found.responses) if found.response_status is _ANSWERED else []
    except (ValueError, TypeError) as error:
        raise InvalidStaple("not an OCSP response in DER") from error
    if len(answers) != 1:
        raise InvalidStaple(f"answers for {len(answers)} certificates")
    if answers[0].serial_number != certificate.serial_number:
        raise InvalidStaple("is about another certificate")
    if answers[0].certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise InvalidStaple("says that the certificate is not good any more")
    ends = answers[0].next_update_utc
    return ends.timestamp() if ends is not None else 0.0


_ANSWERED = ocsp.OCSPResponseStatus.SUCCESSFUL


def demands_staple(certificate: Certificate) -> bool:
    """Whether callers must not believe it without a staple ("must-staple", RFC 7633)."""
    features = extension(certificate, x509.TLSFeature)
    return features is not None and x509.TLSFeatureType.status_request in features
