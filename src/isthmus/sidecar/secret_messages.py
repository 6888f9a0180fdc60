"""The messages of SDS as values, read and written field by field.

Envoy's own message classes would be a tenth of the agent's memory, in every pod of the mesh.
Source: envoy/service/discovery/v3/discovery.proto, envoy/extensions/transport_sockets/tls/v3/{secret,common}.proto,
tls_spiffe_validator_config.proto,
envoy/config/core/v3/{base,extension}.proto (DataSource), google/rpc/status.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from isthmus.kit.protobuf import field, fields

_SECRET_NAME, _SECRET_PAIR, _SECRET_VALIDATION = 1, 2, 4
_PAIR_CHAIN, _PAIR_KEY, _VALIDATION_TRUSTED_CA, _VALIDATION_REVOKED = 1, 2, 1, 7
_INLINE_BYTES = 2
_VALIDATION_VALIDATOR, _EXTENSION_NAME, _EXTENSION_CONFIG = 12, 1, 2
_ANY_TYPE_URL, _ANY_VALUE = 1, 2
_DOMAINS, _DOMAIN_NAME, _DOMAIN_BUNDLE = 1, 1, 2
_SPIFFE_CONFIG = b"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig"
_SOTW_NAMES, _SOTW_TYPE_URL, _SOTW_NONCE, _SOTW_ERROR = 3, 4, 5, 6
_DELTA_TYPE_URL, _DELTA_SUBSCRIBE, _DELTA_UNSUBSCRIBE = 2, 3, 4
_DELTA_INITIAL, _DELTA_NONCE, _DELTA_ERROR = 5, 6, 7
_STATUS_MESSAGE, _ENTRY_KEY, _ENTRY_VALUE = 2, 1, 2


class Asked(NamedTuple):
    """What Envoy says in one request. `rejected` is why it does not take our last answer, or None.

    `names` are all that it wants (state of the world), or those that it wants as well (delta).
    """

    type_url: str = ""
    nonce: str = ""
    names: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    versions: Mapping[str, str] = {}
    rejected: str | None = None


def key_pair(name: str, chain: bytes, key: bytes) -> bytes:
    """A Secret with a certificate chain and its key, both PEM."""
    pair = field(_PAIR_CHAIN, _inline(chain)) + field(_PAIR_KEY, _inline(key))
    return field(_SECRET_NAME, name.encode()) + field(_SECRET_PAIR, pair)


def trust(name: str, roots: bytes, revoked: bytes = b"") -> bytes:
    """A Secret with the roots (PEM) to believe, and lists of certificates not to believe any more."""
    context = field(_VALIDATION_TRUSTED_CA, _inline(roots))
    context += field(_VALIDATION_REVOKED, _inline(revoked)) if revoked else b""
    return field(_SECRET_NAME, name.encode()) + field(_SECRET_VALIDATION, context)


def federated_trust(name: str, roots: Iterable[tuple[str, bytes]]) -> bytes:
    """A Secret by which a peer is believed by the roots (PEM) of its own trust domain alone.

    One list of all roots would let each of them speak for every domain.
    """
    domains = b"".join(
        field(_DOMAINS, field(_DOMAIN_NAME, domain.encode()) + field(_DOMAIN_BUNDLE, _inline(pem)))
        for domain, pem in roots
    )
    config = field(_ANY_TYPE_URL, _SPIFFE_CONFIG) + field(_ANY_VALUE, domains)
    validator = field(_EXTENSION_NAME, b"envoy.tls.cert_validator.spiffe") + field(_EXTENSION_CONFIG, config)
    return field(_SECRET_NAME, name.encode()) + field(
        _SECRET_VALIDATION, field(_VALIDATION_VALIDATOR, validator)
    )


def read_sotw(message: bytes) -> Asked:
    """A DiscoveryRequest. Raises `ValueError`."""
    found = _collected(message)
    return Asked(
        type_url=_text(found, _SOTW_TYPE_URL),
        nonce=_text(found, _SOTW_NONCE),
        names=_texts(found, _SOTW_NAMES),
        rejected=_error(found, _SOTW_ERROR),
    )


def read_delta(message: bytes) -> Asked:
    """A DeltaDiscoveryRequest. Raises `ValueError`."""
    found = _collected(message)
    entries = [_collected(entry) for entry in found.get(_DELTA_INITIAL, ())]
    return Asked(
        type_url=_text(found, _DELTA_TYPE_URL),
        nonce=_text(found, _DELTA_NONCE),
        names=_texts(found, _DELTA_SUBSCRIBE),
        forgotten=_texts(found, _DELTA_UNSUBSCRIBE),
        versions={_text(entry, _ENTRY_KEY): _text(entry, _ENTRY_VALUE) for entry in entries},
        rejected=_error(found, _DELTA_ERROR),
    )


_Fields = dict[int, list[bytes]]


def _inline(content: bytes) -> bytes:
    return field(_INLINE_BYTES, content)


def _collected(message: bytes) -> _Fields:
    """The fields of `message` that are bytes, by number, in order."""
    found: _Fields = {}
    for number, value in fields(message):
        if isinstance(value, bytes):
            found.setdefault(number, []).append(value)
    return found


def _texts(found: _Fields, number: int) -> tuple[str, ...]:
    return tuple(value.decode() for value in found.get(number, ()))


def _text(found: _Fields, number: int) -> str:
    return next(reversed(_texts(found, number)), "")  # of a field that comes twice the last one holds


def _error(found: _Fields, number: int) -> str | None:
    if number not in found:
        return None
    return _text(_collected(found[number][-1]), _STATUS_MESSAGE)
