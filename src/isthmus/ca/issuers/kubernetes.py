"""A signer of Kubernetes as the issuer: Citadel proves who asks and approves, the signer signs (ADR 0033).

Each order is a CertificateSigningRequest, deleted as soon as it is answered. Source: Kubernetes, "Certificates and
Certificate Signing Requests": certificates.k8s.io/v1, conditions Approved, Denied, Failed; `status.certificate`.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.ca.authority import Issued, Lifetimes
from isthmus.ca.issuers import Order
from isthmus.ca.issuers.checked import checked, decoded, modest
from isthmus.ca.issuers.mesh_roots import MeshRoots
from isthmus.ca.issuers.orders import USAGES, Book, Json, Orders, OrderSettings, Verdict
from isthmus.ca.issuers.trusted import Trusted
from isthmus.kit.clock import Clock
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Conflict

_HINT = "does who signs for it run? what citadel must be allowed: docs/guides/other-authorities.md"
LEAST_S = 600.0
"""Kubernetes takes no request for a shorter life."""


class KubernetesSettings(OrderSettings, frozen=True, kw_only=True):
    """Which signer, and how long it may take."""

    signer: str
    approves: bool = True
    """Whether Citadel approves what it orders; else a policy of somebody else must."""
    roots_file: Path | None = None
    """The roots to believe; None: those of `caCertificates` in the mesh's settings."""
    trust_domain: str = "cluster.local"
    lifetimes: Lifetimes = Lifetimes()


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    reason: str = ""
    message: str = ""


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] = ()
    certificate: str = ""


class SigningRequest(Object, frozen=True, kw_only=True):
    """What a signer has made of a request."""

    status: _Status = _Status()


_REQUESTS = Kind(
    "certificates.k8s.io",
    ("v1",),
    "CertificateSigningRequest",
    "certificatesigningrequests",
    SigningRequest,
    namespaced=False,
)


class KubernetesSigner:
    """Satisfies `Issuer` by the signer of one name."""

    def __init__(self, settings: KubernetesSettings, client: Client, clock: Clock) -> None:
        self._settings, self._client, self._clock = settings, client, clock
        hint = f"caCertificates with certSigners: [{settings.signer}] in the mesh's settings, or --issuer-roots FILE"
        self._trusted = Trusted(settings.roots_file, hint)
        self._told = MeshRoots(settings.signer, settings.trust_domain, self._trusted)
        book = Book(self.name, _REQUESTS, _verdict, _HINT)
        self._orders: Orders[SigningRequest] = Orders(book, settings, client, clock)

    @property
    def name(self) -> str:
        """`kubernetes DOMAIN/NAME`."""
        return f"kubernetes {self._settings.signer}"

    @property
    def roots_pem(self) -> bytes:
        """See `Issuer`. Empty until they are told."""
        return self._trusted.pem.value

    @property
    def roots(self) -> Watchable[bytes]:
        """`roots_pem`, as it changes."""
        return self._trusted.pem

    async def run(self) -> None:
        """Follow what becomes of our requests, and where the roots are told, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._orders.run())
            if self._settings.roots_file is None:
                group.create_task(self._told.run(self._client, self._settings.namespace))

    async def issue(self, order: Order) -> Issued:
        """See `Issuer`. Raises `InvalidCsr` where the request does not say exactly who its sender is proven to be."""
        key = modest(order)
        lifetime_s = max(self._settings.lifetimes.cut(order.lifetime_s), LEAST_S)
        then = self._approve if self._settings.approves else None
        answer = await self._orders.answered(order, self._spec(order, lifetime_s), then)
        pem, now = decoded(answer.status.certificate), self._clock.now()
        return checked(pem, order, key, await self._trusted.roots_with(b"", now), (now, now + lifetime_s))

    def _spec(self, order: Order, lifetime_s: float) -> Json:
        return {
            "request": base64.b64encode(order.csr).decode(),
            "signerName": self._settings.signer,
            "expirationSeconds": round(lifetime_s),
            "usages": list(USAGES),
        }

    async def _approve(self, lies: dict[str, Any]) -> None:
        """Approve a request of ours, whoever writes to it meanwhile. Raises `KubeError`."""
        name = lies["metadata"]["name"]
        approved = {
            "type": "Approved",
            "status": "True",
            "reason": "ProvenByCitadel",
            "message": "citadel has proven who asks, and the request names nobody else",
        }
        while not _decided(lies):
            status = lies.get("status") or {}
            conditions = [*(status.get("conditions") or ()), approved]
            body = {**lies, "status": {**status, "conditions": conditions}}
            try:
                await self._client.request("PUT", path_of(_REQUESTS, "", name, "approval"), body=body)
                break
            except Conflict:
                lies = await self._client.get(_REQUESTS, "", name)


def _decided(lies: dict[str, Any]) -> bool:
    conditions = (lies.get("status") or {}).get("conditions") or ()
    return any(each.get("type") in {"Approved", "Denied"} for each in conditions)


def _verdict(found: SigningRequest) -> Verdict:
    said = {each.type: each for each in found.status.conditions}
    for kind in ("Denied", "Failed"):
        if kind in said:
            return Verdict(refused=f"{kind}: {said[kind].message or said[kind].reason}")
    if "Approved" not in said:
        return Verdict(waits="nobody has approved the request (hint: a policy must, or --approve-orders)")
    return Verdict(answered=bool(found.status.certificate))
