"""Citadel: the CA of one cluster as a process. Signs for its workloads, and tells them the root."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from isthmus.ca import store
from isthmus.ca.account_secrets import Renewal
from isthmus.ca.attest import Attester
from isthmus.ca.audit import Audit
from isthmus.ca.authority import Authority, Lifetimes
from isthmus.ca.callers import Callers
from isthmus.ca.dns_names import DnsNames
from isthmus.ca.holders import Holders
from isthmus.ca.issuers.own import OwnIssuer
from isthmus.ca.rates import Limits
from isthmus.ca.self_signed import SelfSigned
from isthmus.ca.server import CertificateService, Terms
from isthmus.ca.serving import ServingCertificate
from isthmus.ca.vouching import ALL, Reviewer, Vouched, Voucher, Vouchers
from isthmus.kit import x509
from isthmus.kit.certified import all_certified, certified
from isthmus.kit.clock import Clock
from isthmus.kit.metrics import BUILD, CHAIN_EXPIRY, CHAIN_SECONDS, ROOT_EXPIRY, ROOT_SECONDS, exposition
from isthmus.kit.plain_http import NOT_FROM_OUTSIDE, HttpServer, Request, Response
from isthmus.kit.release import RELEASE
from isthmus.kit.scopes import ca as log
from isthmus.kit.watchable import Watchable
from isthmus.kube import log_levels
from isthmus.kube.log_levels import FollowedLevels
from isthmus.model import holdings
from isthmus.model.holdings import CitadelHolding
from isthmus.model.identity import SpiffeId
from isthmus.wire.listeners import Secure, ServerCertificate
from isthmus.wire.serve import GrpcServer, Handler
from isthmus.wire.serve import Limits as GrpcLimits

_REQUEST_BYTES = 64 << 10  # a signing request with a key of 4,096 bits has two thousand


class CitadelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides how a Citadel works."""

    cluster: str
    ca_directory: Path = Path("/etc/cacerts")
    ca_paths: Mapping[str, Path] = {}  # CA files that lie elsewhere, by their names in the Secret
    self_signed: bool | None = None  # whether Citadel makes its root; None: where there are no CA files
    root: SelfSigned = SelfSigned()  # how it makes one
    trust_domain: str = "cluster.local"
    domain: str = "cluster.local"
    namespace: str = "istio-system"
    service: str = "istio-citadel"
    service_account: str = "istio-citadel-service-account"
    host: str = "0.0.0.0"
    port: int = 8060
    renewal_port: int | None = None  # where a certificate is the proof for the next one; None: nowhere
    monitoring_port: int = 15014
    extra_names: tuple[str, ...] = ()  # further DNS names of its serving certificate
    lifetimes: Lifetimes = Lifetimes()
    serving_life_s: float = 86_400.0
    limits: Limits = Limits()
    append_dns_names: bool = True  # those of the control plane's Services, in its certificates
    custom_dns_names: Mapping[str, tuple[str, ...]] = {}  # further ones, by `account.namespace`
    reload_s: float = 2.0  # how often the CA files, and those of other clusters, are looked at
    clusters_directory: Path = Path("/etc/istio/clusters")  # kubeconfigs of other clusters it serves
    vouched: Vouched = {}  # the namespaces that each cluster vouches for; its own cluster: all
    audit_file: Path | None = None
    roots_file: Path | None = None  # kept true for who shares the pod; None: only the ConfigMaps are
    account_secrets: Renewal | None = None  # the Secrets of accounts that are kept; None: none

    @property
    def ca_files(self) -> dict[str, Path]:
        """Where each CA file lies."""
        return {name: self.ca_paths.get(name, self.ca_directory / name) for name in store.FILES}

    @property
    def terms(self) -> Terms:
        """What the certificate service gives."""
        names = DnsNames(
            cluster=self.cluster,
            namespace=self.namespace,
            append=self.append_dns_names,
            custom=self.custom_dns_names,
        )
        return Terms(names=names, limits=self.limits)

    @property
    def dns_names(self) -> tuple[str, ...]:
        """Under which names it is called."""
        short = f"{self.service}.{self.namespace}"
        return (f"{short}.svc.{self.domain}", f"{short}.svc", short, *self.extra_names)


def load_authority(settings: CitadelSettings, clock: Clock) -> Authority:
    """The authority of the CA files. Raises `InvalidStore`."""
    return _authority(settings, store.read_paths(settings.ca_files), clock)


def authority_of(settings: CitadelSettings, material: store.Material, clock: Clock) -> Authority:
    """The authority that signs with `material` as the settings say."""
    return Authority(material.roots, material.chain, material.key, lifetimes=settings.lifetimes, clock=clock)


def own_voucher(settings: CitadelSettings, reviewer: Reviewer) -> Vouchers:
    """Citadel's own cluster, for which `reviewer` speaks, as the only one that vouches."""
    namespaces = settings.vouched.get(settings.cluster, frozenset({ALL}))
    return Vouchers(Voucher(settings.cluster, reviewer, namespaces))


def callers_of(
    settings: CitadelSettings, vouchers: Vouchers, roots: Callable[[], bytes], clock: Clock
) -> Callers:
    """Who calls, by the word of the clusters in `vouchers`, or by a certificate that `roots` (PEM) sign."""
    return Callers(
        Attester(vouchers, settings.trust_domain, clock),
        Holders(roots, vouchers, settings.trust_domain, clock),
    )


def grpc_of(
    settings: CitadelSettings, services: Mapping[str, Handler], certificate: Callable[[], ServerCertificate]
) -> GrpcServer:
    """The doors of Citadel, which shows `certificate` at each."""
    # Here callers have no certificate yet; their token says who they are.
    listeners = [Secure(settings.host, settings.port, certificate, require_client=False)]
    if settings.renewal_port is not None:
        listeners.append(Secure(settings.host, settings.renewal_port, certificate, require_client=True))
    return GrpcServer(services, listeners, GrpcLimits(request_bytes=_REQUEST_BYTES))


class Citadel:
    """The services of one Citadel for the workloads of the clusters in `vouchers`."""

    def __init__(
        self, settings: CitadelSettings, authority: Watchable[Authority], vouchers: Vouchers, clock: Clock
    ) -> None:
        self._settings, self._authority, self._clock = settings, authority, clock
        identity = SpiffeId(settings.trust_domain, settings.namespace, settings.service_account)
        serving = ServingCertificate(authority, identity, settings.dns_names, settings.serving_life_s, clock)
        callers = callers_of(settings, vouchers, lambda: authority.value.roots_pem, clock)
        audit = Audit(settings.audit_file, clock)
        self._issuer = OwnIssuer(authority)
        self._service = service = CertificateService(self._issuer, callers, audit, settings.terms, clock)
        self._serving, self.denied = serving, service.denied
        self.services = service.services()
        self.grpc = grpc_of(settings, self.services, serving)
        self.log_levels = FollowedLevels()
        self.monitoring = HttpServer(settings.host, settings.monitoring_port, self.monitor)

    async def run(self) -> None:
        """Serve until cancelled; CA files that change are taken over while we run."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.grpc.run())
            group.create_task(self.monitoring.run())
            group.create_task(self._follow_files())
            group.create_task(self._show_expiry())

    async def _follow_files(self) -> None:
        used = store.read_paths(self._settings.ca_files)
        complaint = ""
        if self._settings.self_signed or not used:
            return await self._notice_files()
        while True:
            await self._clock.sleep(self._settings.reload_s)
            try:
                files = store.read_paths(self._settings.ca_files)
                if files == used:
                    continue
                self._authority.set(_authority(self._settings, files, self._clock))
            except store.InvalidStore as error:
                if str(error) != complaint:
                    log.error("CA files changed and cannot be used, the old stay", reason=str(error))
                complaint = str(error)
            else:
                used, complaint = files, ""
                log.info("CA files changed")

    async def _notice_files(self) -> None:
        """Say once that CA files came while we sign with a root of our own: they count from the next start."""
        while self._settings.self_signed is None:
            await self._clock.sleep(self._settings.reload_s)
            if any(path.exists() for path in self._settings.ca_files.values()):
                hint = "workloads believe them when they have the new root: see docs/guides/certificates.md"
                log.warning("CA files came, they are used from the next start", hint=hint)
                return

    def holding(self) -> CitadelHolding:
        """What this Citadel is, and what it has done."""
        authority, ledger = self._authority.value, self._service.ledger
        return CitadelHolding(
            cluster=self._settings.cluster,
            trust_domain=self._settings.trust_domain,
            issuer=self._issuer.name,
            roots=all_certified(authority.roots),
            chain=all_certified(authority.chain),
            serving=certified(x509.load_certificate(self._serving().certificate)),
            since=ledger.since,
            issued=ledger.issued,
            refused=ledger.refused,
        )

    async def _show_expiry(self) -> None:
        BUILD.labels(component="citadel", tag=RELEASE).set(1)
        async for authority in self._authority.changes():
            root_end = x509.life(authority.chain[-1]).end
            ROOT_EXPIRY.set(root_end)
            ROOT_SECONDS.set_function(partial(self._left_s, root_end))
            CHAIN_EXPIRY.set(authority.end)
            CHAIN_SECONDS.set_function(partial(self._left_s, authority.end))

    def _left_s(self, end: float) -> float:
        return end - self._clock.now()

    async def monitor(self, request: Request) -> Response:
        """The answer to one request: numbers for all, and what shows identities for those who may look in here."""
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
            case "/ready" if self._clock.now() < self._authority.value.end:
                return Response(body=b"ready\n")
            case "/ready":
                return Response(503, b"the CA has expired\n")
            case _:
                known = f"/metrics, /ready, /live, {log_levels.PAGE} and {holdings.PAGE}"
                return Response(404, f"there are {known}\n".encode())


def _authority(settings: CitadelSettings, files: dict[str, bytes], clock: Clock) -> Authority:
    return authority_of(settings, store.verify(files, clock.now()), clock)
