"""Until when Pilot may read a cluster is read from what it shows there."""

from __future__ import annotations

import base64
import json

from fakes.checked_clusters import NOW, OLD_PEM
from isthmus.debug.credentials import end_of
from isthmus.kit.log import Redacted
from isthmus.kube.kubeconfig import Anonymous, ClientCertificate, Token


def token(**claims):
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Token(Redacted(f"x.{body}.x"))


def test_tokens_and_certificates_say_when_they_end():
    assert end_of(token(exp=NOW)) == NOW
    assert end_of(token()) is None
    assert end_of(Token(Redacted("opaque"))) is None
    assert end_of(Anonymous()) is None
    assert end_of(ClientCertificate(OLD_PEM, Redacted("key"))) == NOW - 86_400
    assert end_of(ClientCertificate(b"none", Redacted("key"))) is None
