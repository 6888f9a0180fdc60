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
from isthmus.kit.duration import show
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.name_limits import NameLimits
from isthmus.model.identity import cluster_name

ROOT_KEY = "root-key.pem"
LEAST_LIFE_S, MOST_LIFE_S = 60.0, 876_000 * 3600.0
_YEAR_S = 365 * 86_400.0
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class CannotFound(Exception):
    """The CA files cannot be made there; says which path, why, and how to mend it."""

    def __init__(self, path: Path, what: str, hint: str) -> None:
        super().__init__(f"{path}: {what} (hint: {hint})")


class Constraint(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster's CA may sign: identities of the trust domain, with the cluster's own name, and its servers."""

    trust_domain: str = "cluster.local"
    domain: str = "cluster.local"
    namespace: str = "istio-system"
    further: tuple[str, ...] = ()

    def limits(self, cluster: str) -> NameLimits:
        """For `cluster`: of all names of clusters only its own, so it cannot vouch in another's name."""
        own = cluster_name(cluster, self.trust_domain)
        return NameLimits(
            (self.trust_domain,), (own, f"svc.{self.domain}", "svc", self.namespace, *self.further)
        )


class Founding(msgspec.Struct, frozen=True, kw_only=True):
    """The choices for a new root of trust."""

    clusters: tuple[str, ...] = ()
    organisation: str = "Isthmus"
    root_life_s: float = 10 * _YEAR_S
    intermediate_life_s: float = 5 * _YEAR_S
    key_kind: KeyKind = KeyKind.EC_P256
    below: int = 0
    """How many CAs may stand below that of a cluster."""
    constraint: Constraint | None = None
    """To which names the CAs of clusters are held; None: to none."""


def found_intermediate(directory: Path, founding: Founding, now: float | None = None) -> tuple[Path, ...]:
    """Make the CA files of clusters under the root in `directory`, which must be there. Raises `CannotFound`."""
    if not (directory / ROOT_CERT).exists():
        raise CannotFound(
            directory / ROOT_CERT,
            "is missing",
            "isthmus ca init makes a root, isthmus ca export fetches Citadel's",
        )
    return found(directory, founding, now)


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
    for what, life_s in (("root", founding.root_life_s), ("CA", founding.intermediate_life_s)):
        if not LEAST_LIFE_S <= life_s <= MOST_LIFE_S:
            raise CannotFound(
                directory, f"a {what} cannot live for {show(life_s)}", "from 1m to 876000h, 100 years"
            )
    directory.mkdir(parents=True, exist_ok=True)
    places = {name: directory / name for name in founding.clusters} or {"": directory}
    for place in places.values():
        _must_be_free(place, (CA_CERT, CA_KEY, CERT_CHAIN) + ((ROOT_CERT,) if place != directory else ()))
    root, made = _root(directory, founding, now)
    for cluster, place in places.items():
        made += _intermediate(place, cluster, root, founding, now)
    return tuple(made)


def write_root(directory: Path, root: x509.Issuer) -> tuple[Path, ...]:
    """Write a root that was made elsewhere, its key for the owner alone. Raises `CannotFound`."""
    certificate_path, key_path = directory / ROOT_CERT, directory / ROOT_KEY
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _must_be_free(directory, (ROOT_CERT, ROOT_KEY))
        _write(key_path, x509.key_pem(root.key), secret=True)
        _write(certificate_path, x509.bundle_pem([root.certificate]))
    except OSError as error:
        where = Path(str(error.filename or directory))
        raise CannotFound(where, error.strerror or str(error), "choose another directory") from error
    return certificate_path, key_path


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
    key = x509.new_key(founding.key_kind)
    name = f"{founding.organisation} CA {cluster}".rstrip()
    span = x509.Life.at(now, founding.intermediate_life_s)
    names = founding.constraint.limits(cluster).extension() if founding.constraint else None
    reach = x509.Reach(founding.below, names)
    certificate = x509.intermediate(above, key.public_key(), name, span, reach)
    try:
        verify_chain(certificate, (), (above.certificate,), now, signs=True)
    except InvalidChain as error:
        raise CannotFound(place, str(error), "found a new root in another directory") from error
    place.mkdir(exist_ok=True)
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
