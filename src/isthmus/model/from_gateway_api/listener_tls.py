"""TLS of a listener → that of a server of Istio's.

Source: Gateway API reference, ListenerTLSConfig and FrontendTLSConfig.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from isthmus.api.gateway_api.gateway import FrontendTLSValidation, Gateway, Listener
from isthmus.api.istio.gateway import ServerTLSSettings
from isthmus.model.from_gateway_api.references import Doubt, References, Referrer

_MODE = "gateway.istio.io/tls-terminate-mode"
_MODES = {"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"}
_PROTOCOL = "gateway.istio.io/listener-protocol"


@dataclass(frozen=True, slots=True)
class Tls:
    """How a listener ends TLS; without settings it cannot."""

    settings: ServerTLSSettings | None = None
    unresolved: tuple[Doubt, ...] = ()
    refused: Doubt | None = None
    notes: tuple[Doubt, ...] = ()


def settings(gateway: Gateway, listener: Listener, references: References, at: str) -> Tls:
    """The listener's certificates, in Istio's words. One that is wrong takes the whole listener away."""
    tls = listener.tls
    if tls is None:
        message = f"is missing: {listener.protocol} needs it (hint: name a certificate)"
        return Tls(unresolved=(Doubt("InvalidCertificateRef", f"{at}.tls", message),))
    by = Referrer("Gateway", gateway.metadata.namespace)
    found = [
        references.certificate(by, ref, f"{at}.tls.certificateRefs[{index}]")
        for index, ref in enumerate(tls.certificate_refs)
    ]
    wrong = tuple(each for each in found if isinstance(each, Doubt))
    names = tuple(each for each in found if isinstance(each, str))
    notes = tuple(
        Doubt("UnsupportedValue", f"{at}.tls.options[{name}]", "has no effect: this mesh does not read it")
        for name in tls.options
        if name != _MODE
    )
    mode = tls.options.get(_MODE, "SIMPLE")
    if mode not in _MODES or _PROTOCOL in tls.options:
        path = f"{at}.tls.options[{_MODE if mode not in _MODES else _PROTOCOL}]"
        refused = Doubt(
            "UnsupportedValue", path, f"is not known (hint: {_MODE}: {', '.join(sorted(_MODES))})"
        )
        return Tls(refused=refused, unresolved=wrong)
    if wrong or (not names and mode != "ISTIO_MUTUAL"):
        missing = Doubt(
            "InvalidCertificateRef", f"{at}.tls.certificateRefs", "is empty (hint: name a Secret)"
        )
        return Tls(unresolved=wrong or (missing,), notes=notes)
    made = ServerTLSSettings(
        mode=mode,
        credential_name=names[0] if len(names) == 1 else "",
        credential_names=names if len(names) > 1 else (),
    )
    return Tls(settings=made, notes=notes)


def frontend(gateway: Gateway, port: int, references: References, tls: Tls) -> Tls:
    """`tls` with what the Gateway asks of its clients' certificates on that port."""
    asked = gateway.spec.tls.frontend if gateway.spec.tls is not None else None
    if asked is None:
        return tls
    at, validation = "$.spec.tls.frontend.default.validation", asked.default.validation
    for index, each in enumerate(asked.per_port):
        if each.port == port:
            at, validation = f"$.spec.tls.frontend.perPort[{index}].tls.validation", each.tls.validation
    return tls if validation is None else _validated(gateway, validation, references, tls, at)


def _validated(
    gateway: Gateway, asked: FrontendTLSValidation, references: References, tls: Tls, at: str
) -> Tls:
    if asked.mode != "AllowValidOnly":
        message = f"is {asked.mode!r}, which no mode of TLS here is (hint: AllowValidOnly)"
        return replace(tls, refused=Doubt("UnsupportedValue", f"{at}.mode", message))
    by = Referrer("Gateway", gateway.metadata.namespace)
    found = [
        references.authority(by, ref, f"{at}.caCertificateRefs[{index}]")
        for index, ref in enumerate(asked.ca_certificate_refs)
    ]
    wrong = tuple(each for each in found if isinstance(each, Doubt))
    names = [each for each in found if isinstance(each, str)]
    tls = replace(tls, unresolved=(*tls.unresolved, *wrong))
    if not names:
        refused = Doubt("NoValidCACertificate", f"{at}.caCertificateRefs", "none of them is right")
        return replace(tls, refused=refused)
    if len(names) > 1:
        message = "are several, and one is known (hint: put all certificates into one)"
        return replace(tls, refused=Doubt("UnsupportedValue", f"{at}.caCertificateRefs", message))
    if tls.settings is None:
        return tls
    made = msgspec.structs.replace(tls.settings, mode="MUTUAL", ca_cert_credential_name=names[0])
    return replace(tls, settings=made)
