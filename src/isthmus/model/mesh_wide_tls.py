"""TLS that proxies speak to what is outside of the mesh because of settings, theirs or the mesh's: without Secrets."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from isthmus.api.errors import Problem
from isthmus.api.istio.destination_rule import ClientTLSSettings
from isthmus.api.istio.mesh_config import MeshConfig

P = TypeVar("P", bound=msgspec.Struct)

_BY_NAME = "ALLOW_ANY_DYNAMIC_DNS"
_NOT_FOR_ALL = (
    "has no effect: Secrets are for DestinationRules, not for settings of proxies, so that only servers are believed "
    "whom the system or caCertificates trust (hint: clientCertificate, privateKey, caCertificates: files beside Envoy)"
)


def without_credentials(found: P) -> tuple[P, tuple[Problem, ...]]:
    """`found` without the Secrets that its TLS names, and that in words.

    It stays TLS: where a certificate of the caller's own is missing then, the server has to say so.
    """
    told: list[Problem] = []
    return _kept(found, "$", told), tuple(told)


def with_effect(found: MeshConfig) -> tuple[MeshConfig, tuple[Problem, ...]]:
    """`found` without what of its TLS has no effect, and that in words."""
    told: list[Problem] = []
    outbound = found.outbound_traffic_policy
    if outbound is not None and outbound.tls is not None and outbound.mode != _BY_NAME:
        reason = "no request is sent where its host's name leads"
        told.append(("$.outboundTrafficPolicy.tls", f"has no effect: {reason} (hint: mode: {_BY_NAME})"))
        outbound = msgspec.structs.replace(outbound, tls=None)
    kept = msgspec.structs.replace(
        found,
        outbound_traffic_policy=outbound and _kept(outbound, "$.outboundTrafficPolicy", told),
        default_config=found.default_config and _kept(found.default_config, "$.defaultConfig", told),
    )
    return kept, tuple(told)


def _kept(part: P, at: str, told: list[Problem]) -> P:
    changed: dict[str, object] = {}
    if isinstance(part, ClientTLSSettings) and part.credential_name:
        told.append((f"{at}.credentialName", _NOT_FOR_ALL))
        alone = part.mode == "MUTUAL" and not part.client_certificate
        changed = {"credential_name": "", "mode": "SIMPLE" if alone else part.mode}
    for field in msgspec.structs.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, msgspec.Struct):
            changed[field.name] = _kept(value, f"{at}.{field.encode_name}", told)
    return msgspec.structs.replace(part, **changed) if changed else part
