"""CA files as users plug them in: Secret `cacerts`, mounted as a directory, with Istio's names for the files.

InvalidStore: one file is missing, wrong or does not go with the others; says which, and how to mend it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from isthmus.kit import x509
from isthmus.kit.chain import InvalidChain, verify_chain

CA_CERT, CA_KEY = "ca-cert.pem", "ca-key.pem"
ROOT_CERT, CERT_CHAIN = "root-cert.pem", "cert-chain.pem"
FILES = (CA_CERT, CA_KEY, ROOT_CERT, CERT_CHAIN)


class InvalidStore(Exception):
    """A CA file cannot be used."""

    def __init__(self, file: str, what: str, hint: str) -> None:
        super().__init__(f"{file}: {what} (hint: {hint})")
        self.file = file


class Material(NamedTuple):
    """What makes an `Authority`, proven to belong together."""

    roots: tuple[x509.Certificate, ...]
    chain: tuple[x509.Certificate, ...]
    key: x509.PrivateKey

    def __repr__(self) -> str:
        return f"Material({x509.names(self.chain[0]).common_name!r})"


def load(directory: Path, now: float) -> Material:
    """The CA in the files of `directory`. Raises `InvalidStore`."""
    return verify(read(directory), now)


def read(directory: Path) -> dict[str, bytes]:
    """The CA files of `directory` that are there."""
    paths = {name: directory / name for name in FILES}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


def from_secret(data: Mapping[str, str], now: float) -> Material:
    """The CA in the `data` (base64) of a Secret `cacerts`. Raises `InvalidStore`."""
    files = {}
    for name, text in data.items():
        try:
            files[name] = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise InvalidStore(name, "not base64", "kubectl create secret generic --from-file") from error
    return verify(files, now)


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
            CA_CERT, "is not a CA and cannot sign", "make it with basicConstraints CA:TRUE and keyCertSign"
        )
    try:
        path = verify_chain(certificate, between, roots, now)
    except InvalidChain as error:
        where = CERT_CHAIN if "not there" in str(error) else CA_CERT
        hint = f"{CERT_CHAIN} must hold every CA between {CA_CERT} and {ROOT_CERT}"
        raise InvalidStore(where, str(error), hint if where == CERT_CHAIN else "renew it") from error
    return Material(roots, path, key)


def _certificates(files: Mapping[str, bytes], name: str) -> tuple[x509.Certificate, ...]:
    try:
        found = x509.load_bundle(_file(files, name))
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
            name, "is missing", "isthmus ca init makes all files; put them into Secret cacerts"
        )
    return files[name]
