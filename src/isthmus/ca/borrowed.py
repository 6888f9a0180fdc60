"""A Citadel without a CA of its own: it proves who asks, and has the certificates signed by somebody else."""

from __future__ import annotations

import asyncio

import msgspec

from isthmus.ca.audit import Audit
from isthmus.ca.authority import Issued
from isthmus.ca.citadel import CitadelSettings, callers_of, grpc_of, own_voucher
from isthmus.ca.in_cluster import follow_denied, publish_roots, writer, writers_lease
from isthmus.ca.issuers import Borrowed
from isthmus.ca.issuers.choice import IssuerChoice, borrowed_issuer
from isthmus.ca.issuers.serving import OrderedServing
from isthmus.ca.neighbours import Neighbours
from isthmus.ca.review import ClusterReviewer
from isthmus.ca.roots import Published, RootPublisher
from isthmus.ca.roots_file import keep_roots
from isthmus.ca.server import CertificateService
from isthmus.ca.vouching import Vouchers
from isthmus.kit import x509
from isthmus.kit.certified import all_certified, certified_pem
from isthmus.kit.chain import verify_chain
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.metrics import ROOT_EXPIRY, exposition
from isthmus.kit.plain_http import NOT_FROM_OUTSIDE, HttpServer, Request, Response
from isthmus.kube import log_levels
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import Access
from isthmus.kube.log_levels import FollowedLevels
from isthmus.model import holdings
from isthmus.model.holdings import CitadelHolding
from isthmus.model.identity import SpiffeId


class BorrowedCitadel:
    """The services of a Citadel for the workloads of the clusters in `vouchers`, whose certificates `issuer` signs."""

    def __init__(self, settings: CitadelSettings, issuer: Borrowed, vouchers: Vouchers, clock: Clock) -> None:
        self._settings, self._issuer, self._clock = settings, issuer, clock
        identity = SpiffeId(settings.trust_domain, settings.namespace, settings.service_account)
        self._serving = OrderedServing(issuer, identity, settings.dns_names, settings.serving_life_s, clock)
        callers = callers_of(settings, vouchers, lambda: issuer.roots_pem, clock)
        audit = Audit(settings.audit_file, clock)
        self._service = CertificateService(issuer, callers, audit, settings.terms, clock)
        self.denied = self._service.denied
        self.grpc = grpc_of(settings, self._service.services(), self._serving)
        self.log_levels = FollowedLevels()
        self.monitoring = HttpServer(settings.host, settings.monitoring_port, self._monitor)

    async def run(self) -> None:
        """Serve until cancelled; requests are taken once there is a certificate to show."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.monitoring.run())
            group.create_task(self._issuer.run())
            group.create_task(self._serving.run())
            group.create_task(self._show_expiry())
            await self._serving.first()
            group.create_task(self.grpc.run())

    async def published(self, publisher: RootPublisher) -> None:
        """Tell `publisher` the roots, and which CA signs, as they become known; runs until cancelled."""
        async for held in self._serving.held.changes():
            if held is not None:
                publisher.publish(Published(self._issuer.roots_pem, self._signer(held[0])))

    def holding(self) -> CitadelHolding:
        """What this Citadel is, and what it has done."""
        held, ledger = self._serving.held.value, self._service.ledger
        shown = certified_pem(held[0].pem) if held else ()
        return CitadelHolding(
            cluster=self._settings.cluster,
            trust_domain=self._settings.trust_domain,
            issuer=self._issuer.name,
            roots=all_certified(x509.load_bundle(self._issuer.roots_pem)),
            chain=shown[1:],
            serving=shown[0] if shown else None,
            since=ledger.since,
            issued=ledger.issued,
            refused=ledger.refused,
        )

    def _signer(self, issued: Issued) -> str:
        """The SHA-256 of the CA that signs now: the one above our own certificate."""
        leaf, *between = x509.load_bundle(issued.pem)
        roots = x509.load_bundle(self._issuer.roots_pem)
        _, above, *_ = verify_chain(leaf, between, roots, self._clock.now())
        return x509.fingerprint(above)

    async def _show_expiry(self) -> None:
        async for pem in self._issuer.roots.changes():
            if roots := x509.load_bundle(pem):
                ROOT_EXPIRY.set(max(x509.life(each).end for each in roots))

    async def _monitor(self, request: Request) -> Response:
        match request.path.partition("?")[0]:
            case "/metrics":
                return Response(body=exposition())
            case holdings.PAGE if not request.is_from_within:
                return NOT_FROM_OUTSIDE
            case log_levels.PAGE:
                return self.log_levels.answer(request)
            case holdings.PAGE:
                return Response(body=msgspec.json.encode(self.holding()), content_type="application/json")
            case "/live":
                return Response(body=b"live\n")
            case "/ready":
                held = self._serving.held.value
                if held is None or self._clock.now() >= held[0].end:
                    return Response(503, f"{self._serving.trouble}\n".encode())
                return Response(body=b"ready\n")
            case _:
                known = f"/metrics, /ready, /live, {log_levels.PAGE} and {holdings.PAGE}"
                return Response(404, f"there are {known}\n".encode())


async def run_borrowed(settings: CitadelSettings, choice: IssuerChoice, access: Access) -> None:
    """Citadel of the cluster behind `access`, by the issuer of `choice`, until cancelled.

    Raises `OSError` or `RuntimeError` where a port is taken.
    """
    clock = SystemClock()
    async with Client(access, clock=clock) as client:
        issuer = borrowed_issuer(choice, client, clock)
        vouchers = own_voucher(settings, ClusterReviewer(client))
        citadel = BorrowedCitadel(settings, issuer, vouchers, clock)
        neighbours = Neighbours(
            settings.clusters_directory, settings.vouched, vouchers, clock, settings.reload_s
        )
        async with asyncio.TaskGroup() as group:
            await follow_denied(client, settings.namespace, citadel.denied, group)
            group.create_task(citadel.log_levels.run(client, settings.namespace))
            group.create_task(citadel.run())
            group.create_task(neighbours.run())
            async for pem in issuer.roots.changes():
                if pem:
                    break
            if settings.roots_file:
                group.create_task(keep_roots(settings.roots_file, issuer.roots.changes()))
            first = Published(issuer.roots_pem, "")
            publisher = RootPublisher(writer(client), first, clock, settings.namespace)
            group.create_task(citadel.published(publisher))
            lease = writers_lease(settings, client, clock)
            group.create_task(lease.run())
            group.create_task(publish_roots(client, publisher, lease.held))
