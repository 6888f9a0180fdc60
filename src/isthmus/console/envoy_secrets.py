"""Which certificates and extension filters an Envoy holds, of its dump."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from isthmus.kit import date, x509

Json = dict[str, Any]
_STATES = {
    "static_secrets": "ACTIVE",
    "dynamic_active_secrets": "ACTIVE",
    "dynamic_warming_secrets": "WARMING",
}
_TYPES = {"tls_certificate": "Cert Chain", "validation_context": "CA", "generic_secret": "Generic"}


class SecretRow(msgspec.Struct, frozen=True):
    """A certificate of a secret, or a secret that has none."""

    resource_name: str
    type: str
    status: str
    valid_cert: bool
    serial_number: str = ""
    not_after: str = ""
    not_before: str = ""
    trust_domain: str = ""

    @property
    def resource(self) -> str:
        """The secret."""
        return self.resource_name


class ExtensionRow(msgspec.Struct, frozen=True):
    """A filter that listeners name and that is sent by itself."""

    ecds_name: str
    type: str

    @property
    def resource(self) -> str:
        """The filter."""
        return self.ecds_name


def secrets(section: Json, now: float) -> list[SecretRow]:
    """A row for each certificate; what is no PEM within the dump, such as a file of the pod's, has no dates."""
    return [row for state, entry in _secrets(section) for row in _rows(state, entry, now)]


def extensions(section: Json) -> list[ExtensionRow]:
    """A row for each filter."""
    found = [entry.get("ecds_filter", {}) for entry in section.get("ecds_filters", [])]
    rows = [
        ExtensionRow(
            each.get("name", ""), str(each.get("typed_config", {}).get("@type", "")).rpartition(".")[2]
        )
        for each in found
    ]
    return sorted(rows, key=lambda row: row.ecds_name)


def _secrets(section: Json) -> Iterator[tuple[str, Json]]:
    for key, state in _STATES.items():
        for entry in section.get(key, []):
            yield state, entry


def _rows(state: str, entry: Json, now: float) -> Iterator[SecretRow]:
    secret = entry.get("secret", {})
    name = entry.get("name") or secret.get("name", "")
    kind = next((kind for kind in _TYPES if kind in secret), "")
    chain = secret.get(kind, {}).get("certificate_chain" if kind == "tls_certificate" else "trusted_ca", {})
    certificates = certificates_in(chain)
    place = (name, _TYPES.get(kind, kind), state)
    if not certificates:
        yield SecretRow(*place, valid_cert=False)
    for each in certificates:
        yield _row(place, each, now)


def _row(place: tuple[str, str, str], certificate: x509.Certificate, now: float) -> SecretRow:
    life = x509.life(certificate)
    try:
        uris = x509.names(certificate).uris
    except x509.InvalidCertificate:
        uris = ()
    domain = next((each.removeprefix("spiffe://").partition("/")[0] for each in uris), "")
    valid = life.begin <= now < life.end
    return SecretRow(
        *place, valid, x509.serial(certificate), date.show(life.end), date.show(life.begin), domain
    )


def certificates_in(source: Json) -> tuple[x509.Certificate, ...]:
    """The certificates of a DataSource of Envoy's; none where it has none, or nothing that is one."""
    try:
        text = (
            base64.b64decode(source.get("inline_bytes", "")) or str(source.get("inline_string", "")).encode()
        )
        return x509.load_bundle(text)
    except ValueError:
        return ()
