"""CA files as users plug them in: Secret `cacerts`, mounted as a directory, with Istio's names for the files.

InvalidStore: one file is missing, wrong or does not go with the others; says which, and how to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from isthmus.kit import x509
from isthmus.kit.certified import all_certified
from isthmus.kit.chain import Broken, InvalidChain, verify_chain

CA_CERT, CA_KEY = "ca-cert.pem", "ca-key.pem"
ROOT_CERT, CERT_CHAIN = "root-cert.pem", "cert-chain.pem"
FILES = (CA_CERT, CA_KEY, ROOT_CERT, CERT_CHAIN)
SECRET = "cacerts"  # noqa: S105 - the name of one


class InvalidStore(Exception):
    """A CA file cannot be used: `file` is its key in the Secret."""

    def __init__(self, file: str, what: str, hint: str, secret: str = SECRET) -> None:
        super().__init__(f"secret {secret}, key {file}: {what} (hint: {hint})")
        self.file, self.what, self.hint = file, what, hint


class Material(NamedTuple):
    """What makes an `Authority`, proven to belong together."""

    roots: tuple[x509.Certificate, ...]
    chain: tuple[x509.Certificate, ...]
    key: x509.PrivateKey

    def __repr__(self) -> str:
        return f"Material({x509.names(self.chain[0]).common_name!r})"


def read(directory: Path) -> dict[str, bytes]:
    """The CA files of `directory` that are there. Raises `InvalidStore` for one that cannot be read."""
    return read_paths({name: directory / name for name in FILES})


def read_paths(paths: Mapping[str, Path]) -> dict[str, bytes]:
    """The CA files at `paths`, by their names in the Secret, that are there. Raises `InvalidStore`."""
    files = {}
    for name, path in paths.items():
        try:
            files[name] = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise InvalidStore(name, f"{error.strerror}: {path}", "let us read it") from error
    return files


def verify(files: Mapping[str, bytes], now: float) -> Material:
    """The CA in `files`, by name. Raises `InvalidStore` at the first thing that is wrong.

    `cert-chain.pem` may be absent or empty where the CA is signed by the root itself, or is the root.
    """
    certificate = _certificates(files, CA_CERT)[0]
    roots = _certificates(files, ROOT_CERT)
    between = _certificates(files, CERT_CHAIN) if files.get(CERT_CHAIN, b"").strip() else ()
    key = _key(files)
    if not x509.matches(certificate, key):
        raise InvalidStore(CA_KEY, f"is not the key of {CA_CERT}", "both must come from one run of the tool")
    if not x509.is_authority(certificate):
        raise InvalidStore(
            CA_CERT,
            "is not a CA and cannot sign",
            "make it with basicConstraints CA:TRUE and keyCertSign; the CA's own certificate comes first",
        )
    try:
        path = verify_chain(certificate, between, roots, now, signs=True)
    except InvalidChain as error:
        raise _broken(error, certificate, roots) from error
    for file, each in (
        (CA_CERT, path[0]),
        *((CERT_CHAIN, each) for each in path[1:-1]),
        (ROOT_CERT, path[-1]),
    ):
        if not x509.is_strong(each.public_key()):
            raise InvalidStore(file, "has a weak key", f"make it anew with {x509.STRONG_KEYS}")
    return Material(roots, path, key)


def _broken(
    error: InvalidChain, certificate: x509.Certificate, roots: tuple[x509.Certificate, ...]
) -> InvalidStore:
    """The file in which the path to the root is broken, and how to mend it."""
    of_others = ROOT_CERT if error.at in roots else CERT_CHAIN  # users put the root into the chain as well
    file = CA_CERT if error.at == certificate else of_others
    if error.reason is Broken.NO_ISSUER:
        hint = f"{CERT_CHAIN} must hold every CA between {CA_CERT} and {ROOT_CERT}"
        return InvalidStore(CERT_CHAIN, str(error), hint)
    if error.reason is Broken.TIME:
        return InvalidStore(file, str(error), "put a new one into the Secret, or mend the clock")
    return InvalidStore(file, str(error), "make it with basicConstraints CA:TRUE and a path long enough")


def _certificates(files: Mapping[str, bytes], name: str) -> tuple[x509.Certificate, ...]:
    try:
        found = x509.load_bundle(_file(files, name))
        all_certified(found)  # all of each can be read, so that nothing below meets what cannot
    except x509.InvalidCertificate as error:
        raise InvalidStore(name, str(error), "it must hold -----BEGIN CERTIFICATE----- blocks") from error
    if not found:
        raise InvalidStore(name, "is empty", "it must hold -----BEGIN CERTIFICATE----- blocks")
    return found


def _key(files: Mapping[str, bytes]) -> x509.PrivateKey:
    try:
        return x509.load_key(_file(files, CA_KEY))
    except x509.InvalidKey as error:
        raise InvalidStore(CA_KEY, str(error), "openssl pkey -in ca-key.pem -out plain.pem") from error


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise InvalidStore(
            name,
            "is missing",
            "isthmus ca init makes all four files, and says how to put them into the Secret",
        )
    return files[name]
