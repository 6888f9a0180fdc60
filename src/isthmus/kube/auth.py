"""Who we are for one API server, and how to say it anew when it expires."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.redacted import Redacted
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.errors import KubeError, Unauthorized
from isthmus.kube.kubeconfig import (
    Access,
    ClientCertificate,
    ExecPlugin,
    Token,
    TokenFile,
)
from isthmus.kube.program import run_program

_REREAD_S = 60.0
_RENEW_BEFORE_S = 30.0
_EXEC_LIMIT_S = 60.0


class Proof(msgspec.Struct, frozen=True):
    """What is shown to the API server: a bearer token, a client certificate, or nothing."""

    token: Redacted | None = None
    certificate: ClientCertificate | None = None


class Prover(Protocol):
    """Gives the proof that holds now."""

    async def proof(self) -> Proof:
        """The current proof; renews it when it is about to expire."""
        ...

    def forget(self, stale: Proof) -> None:
        """The API server did not believe `stale`: if that is the last one, get a new one next time."""
        ...


class FixedProver:
    """One proof for ever."""

    def __init__(self, proof: Proof) -> None:
        self._proof = proof

    async def proof(self) -> Proof:
        return self._proof

    def forget(self, stale: Proof) -> None:
        """There is no other."""


class FileProver:
    """A token in a file that is renewed by others; read again every minute and after a refusal."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._proof: Proof | None = None
        self._read_at = 0.0

    async def proof(self) -> Proof:
        now = self._clock.monotonic()
        if self._proof is None or now - self._read_at > _REREAD_S:
            try:
                token = (await asyncio.to_thread(self._path.read_text)).strip()
            except (OSError, ValueError) as error:  # ValueError: no text, or no path
                why = error.strerror if isinstance(error, OSError) else "is no text"
                raise KubeError(f"token file {self._path} cannot be read: {why}") from error
            if self._proof is None or self._proof.token != token:
                self._proof = Proof(token=Redacted(token))
            self._read_at = now
        return self._proof

    def forget(self, stale: Proof) -> None:
        if self._proof is stale:
            self._proof = None


class _ExecStatus(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _ExecStatus | None = None


class ExecProver:
    """Credentials that a program prints, until their expiry. Source: `client.authentication.k8s.io/v1`."""

    def __init__(self, access: Access, plugin: ExecPlugin, clock: Clock) -> None:
        self._access, self._plugin, self._clock = access, plugin, clock
        self._proof: Proof | None = None
        self._expires_at: float | None = None
        self._one_at_a_time = asyncio.Lock()

    async def proof(self) -> Proof:
        # All watches of a cluster ask at once; the program runs once for them all.
        async with self._one_at_a_time:
            return await self._current()

    async def _current(self) -> Proof:
        due = self._expires_at is not None and self._clock.now() > self._expires_at - _RENEW_BEFORE_S
        if self._proof is None or due:
            status = await self._run()
            self._proof = _proof_of(status, self._plugin.command)
            expiry = status.expiration_timestamp
            self._expires_at = expiry.timestamp() if expiry else None
        return self._proof

    def forget(self, stale: Proof) -> None:
        if self._proof is stale:
            self._proof = None

    async def _run(self) -> _ExecStatus:
        plugin = self._plugin
        # `env -S` style additions keep the parent's environment, as client-go does.
        extra = [f"{name}={value}" for name, value in plugin.env]
        info = f"KUBERNETES_EXEC_INFO={json.dumps(self._info())}"
        try:
            async with asyncio.timeout(_EXEC_LIMIT_S):
                ended = await run_program("/usr/bin/env", *extra, info, plugin.command, *plugin.args)
        except TimeoutError as error:
            raise KubeError(
                f"exec plugin {plugin.command} did not end within {_EXEC_LIMIT_S:.0f} s"
            ) from error
        except (OSError, ValueError) as error:
            raise KubeError(f"exec plugin {plugin.command} cannot be run: {error}") from error
        if ended.code:
            hint = f" (hint: {plugin.install_hint.strip()})" if plugin.install_hint else ""
            said = ended.err.decode(errors="replace").strip()[-300:]
            raise KubeError(f"exec plugin {plugin.command} failed with {ended.code}: {said}{hint}")
        return self._status_in(ended.out)

    def _status_in(self, out: bytes) -> _ExecStatus:
        plugin = self._plugin
        try:
            credential = msgspec.json.decode(out, type=_ExecCredential)
        except UNREADABLE as error:
            raise KubeError(f"exec plugin {plugin.command} printed no ExecCredential: {error}") from error
        if credential.api_version != plugin.api_version or credential.status is None:
            raise KubeError(
                f"exec plugin {plugin.command} answered {credential.api_version} without status or not as "
                f"asked for ({plugin.api_version})"
            )
        return credential.status

    def _info(self) -> dict[str, object]:
        spec: dict[str, object] = {"interactive": False}
        if self._plugin.provide_cluster_info:
            spec["cluster"] = {"server": self._access.server}
        return {"apiVersion": self._plugin.api_version, "kind": "ExecCredential", "spec": spec}


def _proof_of(status: _ExecStatus, command: str) -> Proof:
    certificate = None
    if status.client_certificate_data and status.client_key_data:
        certificate = ClientCertificate(
            status.client_certificate_data.encode(), Redacted(status.client_key_data)
        )
    if status.token is None and certificate is None:
        raise Unauthorized(401, "Unauthorized", f"exec plugin {command} gave neither token nor certificate")
    return Proof(Redacted(status.token) if status.token else None, certificate)


def prover(access: Access, clock: Clock | None = None) -> Prover:
    """Who gives the proofs for `access`."""
    clock = clock or SystemClock()
    match access.credentials:
        case Token(token):
            return FixedProver(Proof(token=token))
        case TokenFile(path):
            return FileProver(path, clock)
        case ClientCertificate() as certificate:
            return FixedProver(Proof(certificate=certificate))
        case ExecPlugin() as plugin:
            return ExecProver(access, plugin, clock)
        case _:
            return FixedProver(Proof())
