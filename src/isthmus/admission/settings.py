"""How webhooks are served, as processes are told."""

from __future__ import annotations

import msgspec

DEFAULT = "default"
"""The revision whose names have no suffix, and that also serves who only says istio-injection=enabled."""


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How webhooks are served."""

    namespace: str = "istio-system"
    revision: str = "default"
    service: str = "istiod"
    address: str = "0.0.0.0"
    port: int | None = 15017
    """0: any; None: nowhere."""
    validates: bool = True
    certificate_dir: str = ""
    """A folder with tls.crt, tls.key and ca.crt in place of Citadel's certificate."""


def suffix(revision: str) -> str:
    """What names of a revision end with."""
    return "" if revision in {"", DEFAULT} else f"-{revision}"
