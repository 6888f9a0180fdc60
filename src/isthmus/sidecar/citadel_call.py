"""A call of Citadel: with the pod's token as proof, or with the certificate that is held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from isthmus.kit import x509
from isthmus.kit.key_kind import KeyKind
from isthmus.kit.scopes import agent as log
from isthmus.model.signing import CREATE_CERTIFICATE, SigningAnswer, SigningRequest
from isthmus.wire.call import CallFailed, Channel, ClientTls

_CLOCKS = "compare the clocks of this node and Citadel's, and look at isthmus ca check"
_ROOTS = "ConfigMap istio-ca-root-cert holds other roots than Citadel's"
# What OpenSSL says where Citadel cannot be believed, and how it is mended.
_MENDS = (
    ("certificate has expired", _CLOCKS),
    ("certificate is not yet valid", _CLOCKS),
    ("unable to get local issuer certificate", _ROOTS),
    ("self signed certificate in certificate chain", _ROOTS),
)


class SigningFailed(Exception):
    """No certificate this time: Citadel is away, refuses, or answers with what we cannot use."""


class Pair(NamedTuple):
    """A chain and its key, both PEM. `repr` does not show the key."""

    chain: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"Pair({len(self.chain)} bytes)"


class Doors(NamedTuple):
    """Where Citadel takes which proof, by which DNS name it is believed there, and from whom we say that we come."""

    citadel: str
    name: str
    renewal: str
    """Where it takes certificates; empty: nowhere."""
    renewal_name: str
    cluster: str
    token_file: Path


class CitadelCall:
    """Asks with the certificate that `to_show` gives, where there is one and a door for it, and else with the token."""

    def __init__(self, doors: Doors, to_show: Callable[[], Pair | None]) -> None:
        self._doors, self._to_show = doors, to_show

    async def __call__(self, request: SigningRequest, roots: bytes) -> SigningAnswer:
        """The answer of Citadel, which is believed by these roots (PEM). Raises `SigningFailed`."""
        doors = self._doors
        pair = self._to_show() if doors.renewal else None
        if pair is not None:
            tls = ClientTls(roots, pair.chain, pair.key, server_name=doors.renewal_name)
            try:
                return await _ask(doors.renewal, tls, {"clusterid": doors.cluster}, request)
            except SigningFailed as error:
                log.warning("not renewed by the certificate, asking with the token", reason=str(error))
        metadata = {"authorization": f"Bearer {_token(doors.token_file)}", "clusterid": doors.cluster}
        return await _ask(doors.citadel, ClientTls(roots=roots, server_name=doors.name), metadata, request)


async def fresh_key(kind: KeyKind) -> x509.PrivateKey:
    """A new key; one of RSA takes up to seconds, so it is made aside."""
    if kind in {KeyKind.RSA_2048, KeyKind.RSA_4096}:
        return await asyncio.to_thread(x509.new_key, kind)
    return x509.new_key(kind)


def provisioned_pair(folder: Path) -> Pair | None:
    """The certificate in `folder` with which somebody provided this machine; None where it is not whole."""
    try:
        return Pair((folder / "cert-chain.pem").read_bytes(), (folder / "key.pem").read_bytes())
    except OSError as error:
        log.warning(
            "no provisioned certificate", path=str(error.filename), reason=error.strerror or str(error)
        )
        return None


async def _ask(
    target: str, tls: ClientTls, metadata: dict[str, str], request: SigningRequest
) -> SigningAnswer:
    try:
        async with Channel(target, tls) as channel:
            body = await channel.unary(CREATE_CERTIFICATE, request.encode(), metadata=metadata)
        return SigningAnswer.decode(body)
    except (CallFailed, ValueError) as error:
        hint = next((f" (hint: {mend})" for sign, mend in _MENDS if sign in str(error)), "")
        raise SigningFailed(f"{error}{hint}") from error


def _token(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError as error:
        raise SigningFailed(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise SigningFailed(f"{path}: not a token") from error
