"""cert-manager as the issuer: Citadel proves who asks, cert-manager signs by whatever it is set up with.

Each order is a CertificateRequest in Citadel's namespace, deleted as soon as it is answered.
Source: cert-manager.io/v1 CertificateRequest: conditions Approved, Denied, InvalidRequest, Ready.
"""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.ca.authority import Issued, Lifetimes
from isthmus.ca.issuers import Order
from isthmus.ca.issuers.checked import checked, decoded, modest
from isthmus.ca.issuers.orders import USAGES, Book, Json, Orders, OrderSettings, Verdict
from isthmus.ca.issuers.trusted import Trusted
from isthmus.kit.clock import Clock
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client

GROUP = "cert-manager.io"


class CertManagerSettings(OrderSettings, frozen=True, kw_only=True):
    """Which issuer, and how long it may take."""

    name: str
    kind: str = "ClusterIssuer"
    group: str = GROUP
    roots_file: Path | None = None
    """The roots to believe; None: those that come with certificates (`status.ca`)."""
    lifetimes: Lifetimes = Lifetimes()


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
        self._settings, self._clock = settings, clock
        self._trusted = Trusted(settings.roots_file)
        hint = "does cert-manager run, is the request approved, may citadel order there?"
        book = Book(self.name, _REQUESTS, _verdict, hint)
        self._orders: Orders[CertificateRequest] = Orders(book, settings, client, clock)

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
        await self._orders.run()

    async def issue(self, order: Order) -> Issued:
        """See `Issuer`. Raises `InvalidCsr` where the request does not say exactly who its sender is proven to be."""
        key = modest(order)
        lifetime_s = self._settings.lifetimes.cut(order.lifetime_s)
        answer = await self._orders.answered(order, self._spec(order, lifetime_s))
        pem, ca = (decoded(each) for each in (answer.status.certificate, answer.status.ca))
        now = self._clock.now()
        return checked(pem, order, key, await self._trusted.roots_with(ca, now), (now, now + lifetime_s))

    def _spec(self, order: Order, lifetime_s: float) -> Json:
        settings = self._settings
        return {
            "request": base64.b64encode(order.csr).decode(),
            "duration": f"{round(lifetime_s)}s",
            "isCA": False,
            "usages": list(USAGES),
            "issuerRef": {"name": settings.name, "kind": settings.kind, "group": settings.group},
        }


def _verdict(found: CertificateRequest) -> Verdict:
    ready = found.condition("Ready")
    for kind in ("Denied", "InvalidRequest"):
        said = found.condition(kind)
        if said.status == "True":
            return Verdict(refused=f"{kind}: {said.message or said.reason}")
    if ready.reason in {"Failed", "Denied"}:
        return Verdict(refused=f"{ready.reason}: {ready.message}")
    return Verdict(ready.status == "True" and bool(found.status.certificate), waits=ready.message)
