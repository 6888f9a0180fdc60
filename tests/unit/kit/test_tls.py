from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from isthmus.kit.tls import client_context


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password():
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(ssl.SSLError):
        client_context(certificate=b"", key=pem)


@pytest.mark.parametrize("roots", [b"", b"nonsense"])
def test_roots_that_are_none_are_refused(roots):
    with pytest.raises((ssl.SSLError, ValueError)):
        client_context(roots=roots)
