"""What Pilot shows at one API server: a token that ends is renewed by the account itself, the new one tried first.

Nothing is interrupted: streams that run go on, and whatever is asked next is asked with the new token. What cannot be
renewed goes on until it ends, and is a finding meanwhile (ADR 0045).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import msgspec

from isthmus.api.resource import Ref
from isthmus.discovery.kept_tokens import KeptTokens
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit import duration, x509
from isthmus.kit.backoff import Backoff
from isthmus.kit.clock import Clock
from isthmus.kit.metrics import ACCESS_RENEWALS
from isthmus.kit.redacted import Redacted
from isthmus.kit.scopes import discovery as log
from isthmus.kube.account_token import AccountToken, end_of, read_token, request_token
from isthmus.kube.auth import Proof, prover
from isthmus.kube.client import Client
from isthmus.kube.errors import Forbidden, KubeError
from isthmus.kube.kubeconfig import Access, ClientCertificate, ExecPlugin, Token, TokenFile
from isthmus.model.findings import Code, Finding, Severity

_LOOK_S = 60.0
"""How often the clock is looked at: a machine may sleep, and its clock be set."""
_SPREAD = 0.1
"""By up to so much of the time until then each Pilot asks earlier, at random: they do not all ask at once."""
_FIRST_RETRY_S, _LONGEST_RETRY_S = 10.0, 300.0
_SOON_S = 30 * 86_400.0
"""So long before its end it is a finding that nobody renews it."""
_TRIED = "/api/v1/namespaces"
"""What a token is tried by: who is believed is answered, or told that it may not."""


class AccessLife(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with what is shown at an API server. Times are seconds of the epoch; None: it has no such time."""

    kind: str
    """`token`, `certificate`, `program`, `file` or `nothing`."""
    account: str = ""
    issued: float | None = None
    ends: float | None = None
    renews: float | None = None
    """When the next one is asked for; None: Pilot does not renew it."""
    renewed: int = 0
    """How many times this Pilot has renewed it."""
    kept: bool = False
    """Whether the next Pilot goes on with what was renewed."""
    bound_to: str = ""
    """Whose end is the end of the token too, as `Secret NAME`."""
    error: str = ""
    """Why it was not renewed, or not kept."""


class Renewals(msgspec.Struct, frozen=True):
    """When tokens are renewed, and where they are kept; None: nowhere."""

    kept: KeptTokens | None = None
    share: float = 0.5
    """After which part of its life a token is renewed."""


class AccessRenewal:
    """Gives the proof for one cluster, as `kube.auth.Prover`; `run` renews it."""

    def __init__(
        self,
        spec: ClusterSpec,
        settings: Renewals,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._spec, self._settings, self._clock = spec, settings, clock
        self._given = prover(spec.access, clock)
        self._entry = spec.access.credentials.token if isinstance(spec.access.credentials, Token) else None
        self._shown: Proof | None = None
        self._renewed = 0
        self._given_at: float | None = None
        self._is_kept = False
        self._error = ""
        self._spread = 1 - _SPREAD * chance()

    async def proof(self) -> Proof:
        """What is shown now: of a cluster's tokens the newest that is known."""
        if self._entry is None:
            return await self._given.proof()
        if self._shown is None:
            self._shown = Proof(token=await self._newest(self._entry))
        return self._shown

    def forget(self, stale: Proof) -> None:
        """`stale` was not believed. A token is all there is until its time has come, or another is written."""
        self._given.forget(stale)

    async def run(self, client: Client) -> None:
        """Renew by `client`, whose proof this is, until cancelled; ends where there is nothing to renew."""
        if self._entry is None:
            return
        retries = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        await self.proof()
        while (due := self._due()) is not None:
            left_s = due - self._clock.now()
            if left_s > 0:
                await self._clock.sleep(min(left_s, _LOOK_S))
                continue
            try:
                await self._renew(client, self._entry)
                retries.reset()
                await self._clock.sleep(_FIRST_RETRY_S)
            except KubeError as error:
                self._failed(error)
                await self._clock.sleep(retries.next_s())

    def life(self) -> AccessLife:
        """How it stands with it now."""
        kind, said = _kind(self._spec.access), self._said()
        if said is None:
            return AccessLife(kind=kind, ends=_end_of(self._spec.access), error=self._error)
        return AccessLife(
            kind=kind,
            account=said.subject,
            issued=said.issued,
            ends=said.end,
            renews=self._due(),
            renewed=self._renewed,
            kept=self._is_kept,
            bound_to=f"{said.bond.kind} {said.bond.name}" if said.bond else "",
            error=self._error,
        )

    def finding(self) -> Finding | None:
        """That the cluster will soon be lost with what is shown there; None where it goes on."""
        life, now = self.life(), self._clock.now()
        if life.ends is None or (life.renews is not None and not life.error):
            return None
        left_s = life.ends - now
        if left_s > _SOON_S and not life.error:
            return None
        severity, when = Severity.WARNING, f"ends in {duration.show(round(left_s))}"
        if left_s <= 0:
            severity, when = Severity.ERROR, f"ended {duration.show(round(-left_s))} ago"
        why = f"is not renewed: {life.error}" if life.error else "cannot be renewed by Pilot"
        name = self._spec.id
        return Finding(
            ref=Ref("Cluster", "", name),
            message=f"the {life.kind} by which Pilot reads it {when} and {why} "
            f"(hint: isthmus clusters rotate {name})",
            cluster=name,
            severity=severity,
            code=Code.CLUSTER,
        )

    async def _newest(self, entry: Redacted) -> Redacted:
        said = read_token(str.__str__(entry))
        if self._settings.kept is None or said is None or said.end is None:
            return entry
        kept = await self._settings.kept.recall(self._spec.id, entry)
        self._is_kept = kept is not None
        return kept or entry

    async def _renew(self, client: Client, entry: Redacted) -> None:
        """Make before break: the old token is shown until the API server has believed the new one."""
        said = self._said()
        if said is None or said.life_s is None:
            return
        given = await request_token(client, said, said.life_s, said.bond)
        await _try(self._spec.access, given.token)
        self._shown = Proof(token=given.token)
        self._given_at = self._clock.now()
        kept = self._settings.kept
        why = await kept.keep(self._spec.id, entry, given.token) if kept is not None else ""
        self._renewed += 1
        self._is_kept, self._error = (
            kept is not None and not why,
            f"renewed, but not kept: {why}" if why else "",
        )
        ACCESS_RENEWALS.labels(self._spec.id, "renewed").inc()
        log.info("access renewed", cluster=self._spec.id, ends=given.end, kept=self._is_kept, error=why)

    def _failed(self, error: KubeError) -> None:
        self._error = f"{error}{_mend(error)}"
        ACCESS_RENEWALS.labels(self._spec.id, "failed").inc()
        log.warning("access not renewed", cluster=self._spec.id, error=self._error)

    def _said(self) -> AccountToken | None:
        token = self._shown.token if self._shown is not None else self._entry
        return read_token(str.__str__(token)) if token is not None else None

    def _due(self) -> float | None:
        said = self._said()
        if said is None or said.issued is None or said.life_s is None:
            return None
        # What is new is counted from now: the clock of the API server may be another.
        return (self._given_at or said.issued) + said.life_s * self._settings.share * self._spread


async def _try(access: Access, token: Redacted) -> None:
    """Returns where the API server believes the token. Raises `KubeError`."""
    async with Client(msgspec.structs.replace(access, credentials=Token(token))) as client:
        with suppress(Forbidden):
            await client.request("GET", _TRIED, query={"limit": "1"})


def _mend(error: KubeError) -> str:
    return " (hint: isthmus install remote gives the right)" if isinstance(error, Forbidden) else ""


def _kind(access: Access) -> str:
    match access.credentials:
        case Token():
            return "token"
        case ClientCertificate():
            return "certificate"
        case ExecPlugin():
            return "program"
        case TokenFile():
            return "file"
        case _:
            return "nothing"


def _end_of(access: Access) -> float | None:
    match access.credentials:
        case Token(token):
            return end_of(str.__str__(token))
        case ClientCertificate(certificate):
            with suppress(x509.InvalidCertificate):
                return x509.life(x509.load_certificate(certificate)).end
    return None
