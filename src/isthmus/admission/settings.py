"""How webhooks are served, as processes are told."""

from __future__ import annotations

import msgspec

from isthmus.model.revision import DEFAULT


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How webhooks are served."""

    namespace: str = "istio-system"
    revision: str = DEFAULT
    service: str = "istiod"
    address: str = "0.0.0.0"
    port: int | None = 15017
    """0: any; None: nowhere."""
    validates: bool = True
    certificate_dir: str = ""
    """A folder with tls.crt, tls.key and ca.crt in place of Citadel's certificate."""
