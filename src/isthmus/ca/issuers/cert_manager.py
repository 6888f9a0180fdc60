"""cert-manager as the issuer: Citadel proves who asks, cert-manager signs by whatever it is set up with.

Each order is a CertificateRequest in Citadel's namespace, deleted as soon as it is answered.
Source: cert-manager.io/v1 CertificateRequest: conditions Approved, Denied, InvalidRequest, Ready.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.ca.authority import Issued, Lifetimes
from isthmus.ca.issuers import IssuerAway, IssuerRefused, Order
from isthmus.ca.issuers.checked import checked, modest
from isthmus.ca.issuers.trusted import Trusted
from isthmus.kit.clock import Clock
from isthmus.kit.log import log
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.informer import Informer
from isthmus.kube.watch import Watch

GROUP = "cert-manager.io"
LABEL = "isthmus.io/ordered-by"
IDENTITY = "isthmus.io/identity"
_USAGES = ("digital signature", "key encipherment", "client auth", "server auth")


class CertManagerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which issuer, and how long it may take."""

    name: str
    kind: str = "ClusterIssuer"
    group: str = GROUP
    namespace: str = "istio-system"
    ordered_by: str = "citadel"
    roots_file: Path | None = None
    """The roots to believe; None: those that come with certificates (`status.ca`)."""
    lifetimes: Lifetimes = Lifetimes()
    limit_s: float = 8.0  # callers wait for 10 s
    at_once: int = 200
    left_over_s: float = 300.0  # requests that somebody else left behind are deleted after that


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] = ()
    certificate: str = ""
    ca: str = ""


class CertificateRequest(Object, frozen=True, kw_only=True):
    """What cert-manager has made of a request."""

    status: _Status = _Status()

    def condition(self, kind: str) -> _Condition:
        """The condition of this type; an empty one where there is none."""
        return next((each for each in self.status.conditions if each.type == kind), _Condition())


_REQUESTS = Kind(GROUP, ("v1",), "CertificateRequest", "certificaterequests", CertificateRequest)


class CertManager:
    """Satisfies `Issuer` by one Issuer, ClusterIssuer or external issuer of cert-manager."""

    def __init__(self, settings: CertManagerSettings, client: Client, clock: Clock) -> None:
        self._settings, self._client, self._clock = settings, client, clock
        self._trusted = Trusted(settings.roots_file)
        self._room = asyncio.Semaphore(settings.at_once)
        self._waiting: dict[str, asyncio.Future[CertificateRequest]] = {}
        self._pending: dict[str, str] = {}
        ours = Scope(settings.namespace, labels=f"{LABEL}={settings.ordered_by}")
        self._requests = Informer(_REQUESTS, Watch(client, _REQUESTS, ours), self._seen)

    @property
    def name(self) -> str:
        """`cert-manager ClusterIssuer/NAME`."""
        return f"cert-manager {self._settings.kind}/{self._settings.name}"

    @property
    def roots_pem(self) -> bytes:
        """See `Issuer`. Empty until the first certificate came."""
        return self._trusted.pem.value

    @property
    def roots(self) -> Watchable[bytes]:
        """`roots_pem`, as it changes."""
        return self._trusted.pem

    async def run(self) -> None:
        """Follow what becomes of our requests until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._requests.run())
            group.create_task(self._tidy())

    async def issue(self, order: Order) -> Issued:
        """See `Issuer`. Raises `InvalidCsr` where the request does not say exactly who its sender is proven to be."""
        key = modest(order)
        lifetime_s = self._settings.lifetimes.cut(order.lifetime_s)
        async with self._room:
            answer = await self._answered(order, lifetime_s)
        pem, ca = (_decoded(each) for each in (answer.status.certificate, answer.status.ca))
        now = self._clock.now()
        return checked(pem, order, key, await self._trusted.roots_with(ca, now), (now, now + lifetime_s))

    async def _answered(self, order: Order, lifetime_s: float) -> CertificateRequest:
        name = f"{self._settings.ordered_by}-{uuid4().hex}"
        waiting: asyncio.Future[CertificateRequest] = asyncio.get_running_loop().create_future()
        self._waiting[name] = waiting
        created = False
        try:
            async with asyncio.timeout(self._settings.limit_s):
                await self._client.create(_REQUESTS, self._request(name, order, lifetime_s))
                created = True
                return await waiting
        except KubeError as error:
            raise IssuerAway(f"{self.name}: cannot be asked: {error}") from error
        except TimeoutError as error:
            why = self._pending.get(
                name, "nobody answered (hint: does cert-manager run, is the request approved?)"
            )
            raise IssuerAway(
                f"{self.name}: no certificate within {self._settings.limit_s:g} s: {why}"
            ) from error
        finally:
            self._waiting.pop(name, None)
            self._pending.pop(name, None)
            if created:
                await asyncio.shield(self._delete(name))

    def _request(self, name: str, order: Order, lifetime_s: float) -> dict[str, object]:
        settings = self._settings
        return {
            "apiVersion": _REQUESTS.api_version,
            "kind": _REQUESTS.name,
            "metadata": {
                "name": name,
                "namespace": settings.namespace,
                "labels": {LABEL: settings.ordered_by},
                "annotations": {IDENTITY: str(order.identity)},
            },
            "spec": {
                "request": base64.b64encode(order.csr).decode(),
                "duration": f"{round(lifetime_s)}s",
                "isCA": False,
                "usages": list(_USAGES),
                "issuerRef": {"name": settings.name, "kind": settings.kind, "group": settings.group},
            },
        }

    def _seen(self, ref: Ref, now: Object | InvalidConfig | None) -> None:
        """A request of ours changed (an informer's handler)."""
        waiting = self._waiting.get(ref.name)
        if waiting is None or waiting.done() or not isinstance(now, CertificateRequest):
            return
        ready = now.condition("Ready")
        for kind in ("Denied", "InvalidRequest"):
            said = now.condition(kind)
            if said.status == "True":
                waiting.set_exception(IssuerRefused(f"{self.name}: {kind}: {said.message or said.reason}"))
                return
        if ready.status == "True" and now.status.certificate:
            waiting.set_result(now)
        elif ready.reason in {"Failed", "Denied"}:
            waiting.set_exception(IssuerRefused(f"{self.name}: {ready.reason}: {ready.message}"))
        elif ready.message:
            self._pending[ref.name] = ready.message

    async def _delete(self, name: str) -> None:
        try:
            await self._client.delete(_REQUESTS, self._settings.namespace, name)
        except NotFound:
            pass
        except KubeError as error:
            log.warning("request not deleted, it will be later", request=name, reason=str(error))

    async def _tidy(self) -> None:
        """Delete what a Citadel that ended has left behind."""
        while True:
            await self._clock.sleep(self._settings.left_over_s)
            for ref, found in list(self._requests.store.items()):
                old = isinstance(found, Object) and self._age_s(found) > self._settings.left_over_s
                if old and ref.name not in self._waiting:
                    await self._delete(ref.name)

    def _age_s(self, found: Object) -> float:
        made = found.metadata.creation_timestamp
        return self._clock.now() - datetime.fromisoformat(made).timestamp() if made else 0.0


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IssuerRefused(f"what it issued cannot be used: not base64: {error}") from error
