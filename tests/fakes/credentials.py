"""Secrets with certificates, as kubectl makes them."""

from __future__ import annotations

import base64

from fakes.manifests import made
from fakes.pki import Pki, Shown

PKI = Pki()


def tls_secret(name, shown: Shown, namespace="istio-system", **more: bytes):
    """`kubectl create secret tls`."""
    return secret(name, namespace, **{"tls.crt": shown.certificate, "tls.key": shown.key}, **more)


def secret(name, namespace="istio-system", **data: bytes):
    return made("Secret", name, namespace, data=encoded(data), type="kubernetes.io/tls")


def encoded(data: dict[str, bytes]) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in data.items()}
