"""`isthmus ca init`: a root of trust on the user's own disk, and an intermediate CA for each cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from isthmus.ca.store import CA_CERT, CA_KEY, CERT_CHAIN, ROOT_CERT
from isthmus.kit import x509
from isthmus.kit.chain import InvalidChain, verify_chain
from isthmus.kit.clock import SystemClock

ROOT_KEY = "root-key.pem"
_YEAR_S = 365 * 86_400.0
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class CannotFound(Exception):
    """The CA files cannot be made there; says which path, why, and how to mend it."""

    def __init__(self, path: Path, what: str, hint: str) -> None:
        super().__init__(f"{path}: {what} (hint: {hint})")


class Founding(msgspec.Struct, frozen=True, kw_only=True):
    """The choices for a new root of trust."""

    clusters: tuple[str, ...] = ()
    organisation: str = "Isthmus"
    root_life_s: float = 10 * _YEAR_S
    intermediate_life_s: float = 5 * _YEAR_S
    key_kind: x509.KeyKind = x509.KeyKind.EC_P256


def found(directory: Path, founding: Founding | None = None, now: float | None = None) -> tuple[Path, ...]:
    """Make the CA files in `directory`; returns the paths made. No file is ever overwritten.

    Root and its key lie in `directory`. With clusters, each gets the four files of Secret `cacerts` in a
    directory of its name; without, the four files lie beside the root. A root that is there already signs
    what is missing, so clusters can be added later. Raises `CannotFound`.
    """
    try:
        return _found(directory, founding or Founding(), SystemClock().now() if now is None else now)
    except OSError as error:
        where = Path(str(error.filename or directory))
        raise CannotFound(where, error.strerror or str(error), "choose another directory") from error


def _found(directory: Path, founding: Founding, now: float) -> tuple[Path, ...]:
    for name in founding.clusters:
        if not _NAME.fullmatch(name):
            raise CannotFound(directory / name, "not a cluster's name", "lower case letters, digits, - and .")
    directory.mkdir(parents=True, exist_ok=True)
    places = {name: directory / name for name in founding.clusters} or {"": directory}
    for place in places.values():
        _must_be_free(place, (CA_CERT, CA_KEY, CERT_CHAIN) + ((ROOT_CERT,) if place != directory else ()))
    root, made = _root(directory, founding, now)
    for cluster, place in places.items():
        made += _intermediate(place, cluster, root, founding, now)
    return tuple(made)


def _root(directory: Path, founding: Founding, now: float) -> tuple[x509.Issuer, list[Path]]:
    certificate_path, key_path = directory / ROOT_CERT, directory / ROOT_KEY
    if certificate_path.exists() or key_path.exists():
        return _existing_root(certificate_path, key_path, now), []
    key = x509.new_key(founding.key_kind)
    certificate = x509.root(key, f"{founding.organisation} Root CA", x509.Life.at(now, founding.root_life_s))
    _write(key_path, x509.key_pem(key), secret=True)
    _write(certificate_path, x509.bundle_pem([certificate]))
    return x509.Issuer(certificate, key), [certificate_path, key_path]


def _existing_root(certificate_path: Path, key_path: Path, now: float) -> x509.Issuer:
    try:
        certificate = x509.load_certificate(certificate_path.read_bytes())
        key = x509.load_key(key_path.read_bytes())
    except FileNotFoundError as error:
        raise CannotFound(Path(error.filename), "is missing beside its pair", "bring it back") from error
    except x509.InvalidPem as error:
        raise CannotFound(certificate_path, str(error), "move both root files away") from error
    if not x509.matches(certificate, key):
        raise CannotFound(key_path, f"is not the key of {ROOT_CERT}", "bring the right one")
    try:
        verify_chain(certificate, (), (certificate,), now)
    except InvalidChain as error:
        raise CannotFound(certificate_path, str(error), "found a new root in another directory") from error
    if not x509.is_authority(certificate):
        raise CannotFound(certificate_path, "is not a CA and cannot sign", "bring a root certificate")
    return x509.Issuer(certificate, key)


def _intermediate(
    place: Path, cluster: str, above: x509.Issuer, founding: Founding, now: float
) -> Sequence[Path]:
    place.mkdir(exist_ok=True)
    key = x509.new_key(founding.key_kind)
    name = f"{founding.organisation} CA {cluster}".rstrip()
    span = x509.Life.at(now, founding.intermediate_life_s)
    certificate = x509.intermediate(above, key.public_key(), name, span)
    pem, root_pem = x509.bundle_pem([certificate]), x509.bundle_pem([above.certificate])
    _write(place / CA_KEY, x509.key_pem(key), secret=True)
    _write(place / CA_CERT, pem)
    _write(place / CERT_CHAIN, pem + root_pem)
    made = [place / CA_CERT, place / CA_KEY, place / CERT_CHAIN]
    if not (place / ROOT_CERT).exists():
        _write(place / ROOT_CERT, root_pem)
        made.append(place / ROOT_CERT)
    return made


def _must_be_free(place: Path, names: Sequence[str]) -> None:
    for path in (place / name for name in names):
        if path.exists():
            raise CannotFound(path, "exists", "nothing is overwritten: choose another directory or name")


def _write(path: Path, content: bytes, *, secret: bool = False) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(number, "wb") as file:
        file.write(content)
