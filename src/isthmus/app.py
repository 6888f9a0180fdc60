"""The control plane, wired: read this file first."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import aclosing, suppress
from socket import gethostname

from isthmus.admin import Admin
from isthmus.admission.injection import NotReady, There
from isthmus.admission.webhooks import Webhooks
from isthmus.api.gateway_api.gateway import Gateway
from isthmus.api.istio.request_authentication import RequestAuthentication
from isthmus.api.resource import Ref
from isthmus.ca.denied import DenyList
from isthmus.ca.in_cluster import follow_denied
from isthmus.debug.pages import IstioPages
from isthmus.debug.questions import Questions
from isthmus.discovery.analyst import Analyst, AnalystSettings
from isthmus.discovery.bundle_ring import BundleRing
from isthmus.discovery.cluster_versions import ClusterVersions
from isthmus.discovery.cluster_watcher import ClusterState, WatcherSettings
from isthmus.discovery.fleet import Fleet
from isthmus.discovery.follower import Follower, Planes, control_planes
from isthmus.discovery.gateway_names import GatewayNames
from isthmus.discovery.kept_keys import KeptKeys, KeptKeysSettings
from isthmus.discovery.key_fetcher import KeyFetcher, ranges
from isthmus.discovery.key_ring import Sources
from isthmus.discovery.registrations import Registrations
from isthmus.discovery.registry import ClusterSpec, Registry
from isthmus.discovery.status_writer import Statuses
from isthmus.discovery.told_statuses import ToldStatuses
from isthmus.discovery.wanted_credentials import WantedCredentials
from isthmus.identity import Gatekeeper, Identifier, nobody, only_known
from isthmus.kit.clock import SystemClock
from isthmus.kit.inbox import Inbox
from isthmus.kit.log import log
from isthmus.kit.metrics import BUILD_SECONDS, PUSH_TRIGGERS, SYNC_TIMEOUTS
from isthmus.kit.scopes import model as model_log
from isthmus.kit.tasks import keep_trying, run_until_cancelled, supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import Access
from isthmus.kube.log_levels import PAGE, FollowedLevels
from isthmus.model.awaited import awaited
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.credential_uses import used_names
from isthmus.model.findings import Finding
from isthmus.model.from_gateway_api.infrastructure import managed_gateways
from isthmus.model.health import HEALTH_TYPE
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy
from isthmus.model.registration import vouching
from isthmus.model.trust_held import TRUST_TYPE
from isthmus.parts import (
    certificate_settings,
    grpc_limits,
    keeper_settings,
    key_ring,
    mesh_settings,
    renewals,
    session_limits,
    settings_key,
    sources,
)
from isthmus.settings import PilotSettings
from isthmus.sidecar.source import certificate_source
from isthmus.translate.generation import Generation, Translator
from isthmus.translate.types import TYPES
from isthmus.wire.listeners import Plaintext, Secure, ServerCertificate
from isthmus.wire.serve import GrpcServer
from isthmus.wire.stream import Peer
from isthmus.writers import ToWrite, Writers
from isthmus.xds.fanout import Fanout
from isthmus.xds.server import AdsServer
from isthmus.xds.session import only_shown

_ANY, _LOOPBACK = "0.0.0.0", "127.0.0.1"
_SWEEP_S = 60.0


class Pilot:
    """All parts of the control plane of one mesh."""

    def __init__(self, settings: PilotSettings, own: Access) -> None:
        self._settings, self._own = settings, own
        self.planes: Watchable[Planes] = Watchable({})
        # watch
        self._inbox: Inbox[ChangeKey, Change] = Inbox(settings.quiet_s, settings.max_delay_s)
        fetcher = KeyFetcher(ranges(settings.issuer_refused_ranges), settings.issuer_roots_path)
        kept = KeptKeysSettings(namespace=settings.root_namespace, kept_s=settings.issuer_keys_kept_s)
        self._kept = KeptKeys(own, kept)
        self.keys = key_ring(settings, self._take, Sources(fetcher.fetch, self._kept.recall))
        self.bundles = BundleRing(settings_key(settings), self._take, fetcher.body)
        self.wanted = WantedCredentials()
        self._versions = ClusterVersions()
        self._certificates = certificate_source(certificate_settings(settings), SystemClock())
        self._webhooks = Webhooks(settings.webhooks, self._certificates.held, SystemClock(), self.there)
        watching = WatcherSettings(
            root_namespace=settings.root_namespace,
            revision=settings.revision,
            companions=(self._follow_plane, self._versions.follow, self._webhooks.follow),
            renewals=renewals(settings, own),
            credentials=self.wanted.current,
            keeper=keeper_settings(settings),
        )
        registry = Registry(sources(settings, own))
        self.fleet = Fleet(registry, self._put, watching, late_s=settings.startup_limit_s)
        self.gateway_names = GatewayNames(ClusterId(settings.cluster), self._put)
        # model
        self.builder = MeshBuilder(mesh_settings(settings))
        # translate
        self.translator = Translator(self.wanted.ask)
        self._generation: Generation | None = None
        self._is_open, self._is_leaving = False, asyncio.Event()
        # tell
        self.statuses, self._told = Statuses(), ToldStatuses()
        self._gateways: Watchable[tuple[Gateway, ...]] = Watchable(())
        looking = AnalystSettings(in_status=settings.analysis_in_status)
        self.analyst = Analyst(self.builder, self._withheld, self.statuses, looking)
        self._registrations = Registrations(lambda: self.builder.mesh, self.analyst.look)
        to_write = ToWrite(
            self.statuses, self._gateways, self._registrations, self._kept, self.keys.good, self._is_labelled
        )
        self._writers = Writers(settings, to_write)
        # serve
        self.fanout: Fanout[Proxy] = Fanout(TYPES, session_limits(settings))
        self.denied = DenyList(SystemClock())
        self.fanout.shared.doubts = self._doubts
        self.fanout.shared.hears = {HEALTH_TYPE: self._registrations.heard, TRUST_TYPE: only_shown}
        self._admin = Admin(self.fleet, self.builder, self.fanout, self.analyst, self._certificates.held)
        self._log_levels = FollowedLevels()
        self._admin.add(PAGE, self._log_levels.page)

    async def run(self) -> None:
        """Serve until cancelled, in the order in which data flows."""
        settings = self._settings
        parts = (self.fleet.run(), self.fanout.run(), self.analyst.run(), self._admin.run(settings))
        beside = (
            self._let_go_of_credentials(),
            self.gateway_names.run(),
            self.keys.run(),
            self.bundles.run(),
            keep_trying("tell", self._lead),
            keep_trying("orders", self._hear_of_orders),
            self._webhooks.run(self._own),
        )
        async with supervise(*parts, *beside, self._serve()):
            await self._get_ready(settings.startup_limit_s)
            self._open()
            async for batch in self._inbox.batches():
                self._step(batch)

    def there(self, cluster: str) -> There:
        """What the mesh knows of a cluster whose pods are injected here. Raises `NotReady`."""
        if not self._is_open:
            raise NotReady("what is known of other clusters is not heard yet (hint: Pilot starts: a moment)")
        mesh, there = self.builder.mesh, ClusterId(cluster)
        return There(mesh.networks.of(there), mesh.settings.domain_in(there), self._versions.of(cluster))

    async def leave(self) -> None:
        """Go without a gap: others write, and proxies are with others, before this ends.

        Who balances learns first that nobody is to come here; what changes meanwhile is told to those who are here.
        """
        settings = self._settings
        log.info("leaving", proxies=len(self.fanout.sessions))
        self._admin.is_leaving = True
        self._is_leaving.set()
        if self.fanout.sessions:
            await asyncio.sleep(settings.leave_notice_s)
        await self.fanout.send_away("this Pilot ends: others serve", settings.leave_s)

    async def _get_ready(self, limit_s: float) -> None:
        """Learn all that proxies must not be without, before one of them is told anything.

        What is out of reach holds them up for so long at the most: clusters, then issuers, then what these name.
        """
        whole = await self.fleet.synced(limit_s)
        SYNC_TIMEOUTS.inc(sum(each.state is not ClusterState.SYNCED for each in self.fleet.status()))
        await asyncio.gather(self.keys.settled(limit_s), self.bundles.settled(limit_s))
        log.info("clusters known", all=whole, clusters=[status.id for status in self.fleet.status()])
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s), aclosing(self._inbox.batches()) as batches:
                async for batch in batches:
                    self._step(batch)
                    if not self._awaited():
                        return
        if missing := self._awaited():
            log.warning("not all is known", missing=[str(each) for each in sorted(missing)])

    def _awaited(self) -> frozenset[Ref]:
        builder, cluster = self.builder, ClusterId(self._settings.cluster)
        return awaited(builder.mesh, builder.objects.get(cluster, {}).keys(), builder.derived.credentials)

    def _open(self) -> None:
        """Tell proxies and people what is known, and from now on what changes."""
        self._is_open = True
        if self._generation is not None:
            self.fanout.publish(self._generation)
        self._show()

    def _show(self) -> None:
        self.analyst.look()
        self.statuses.want("mesh", self._told.all)

    def _step(self, batch: dict[ChangeKey, Change]) -> None:
        before = self.builder.mesh
        with BUILD_SECONDS.time():
            mesh, delta = self.builder.apply(batch)
        places, spaces = delta.workloads, vouching(delta.config, (before, mesh))
        if places or spaces:
            # A pod that is known only now may be elsewhere than its proxy could say.
            self.fanout.identify_again(
                lambda proxy: (proxy.cluster, proxy.address) in places or proxy.namespace in spaces
            )
        if delta:
            model_log.debug(
                "mesh changed", facts=len(batch), reason=delta.reason, services=len(mesh.services)
            )
            self._generation = self.translator.generation(mesh, delta)
            if self._is_open:
                self.fanout.publish(self._generation, self._inbox.began)
                PUSH_TRIGGERS.labels(type=delta.reason).inc()
        self.gateway_names.wanted.set(mesh.networks.hosts)
        settings, clusters = self._settings, self.fleet.watchers()
        self.planes.set(control_planes(mesh, settings.root_namespace, clusters, settings.revision))
        self.wanted.want("derived", self.builder.derived.credentials)
        self._told.after(mesh, delta)
        if delta.config or delta.everything:
            self._gateways.set(managed_gateways(mesh))
            self.keys.want(mesh.of(RequestAuthentication))
        self._registrations.look()
        if self._is_open:
            self._show()

    async def _let_go_of_credentials(self) -> None:
        """Stop following, now and then, what configuration does not refer to any more."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.wanted.keep(used_names(self.builder.mesh))

    def _withheld(self) -> tuple[Finding, ...]:
        unsent = self._generation.findings if self._generation is not None else ()
        return (*unsent, *self._registrations.findings)

    def _put(self, change: Change) -> None:
        self.bundles.hear(change)
        self.keys.put(change)

    def _take(self, change: Change) -> None:
        self._inbox.put(change.key, change)

    async def _follow_plane(self, spec: ClusterSpec, client: Client) -> None:
        if not spec.is_config:
            where = (self._settings.root_namespace, spec.id)
            await Follower(client, where, self.planes, self._writers.leads).run()

    async def _lead(self) -> None:
        """Write until we leave: the Leases are free for others then."""
        async with Client(self._own) as client, supervise(self._writers.run(client)):
            await self._is_leaving.wait()
        await asyncio.Event().wait()

    def _is_labelled(self, ref: Ref) -> bool:
        watcher = self.fleet.watchers().get(ClusterId(self._settings.cluster))
        return watcher is not None and ref in watcher.labelled

    async def _serve(self) -> None:
        """xDS in plain text at once, and with mutual TLS as soon as Citadel has given Pilot a certificate."""
        settings = self._settings
        identify = Identifier(self.builder)
        gatekeeper = Gatekeeper(self._trust_domains, self._doubts, clusters_proven=settings.clusters_proven)
        registrations = self._registrations
        note = only_known(registrations.proven) if settings.known_proxies_only else registrations.proven
        looked_at = IstioPages(self.fleet, self.builder, self.fanout)
        questions = Questions(looked_at, self.fanout, gethostname(), for_all=settings.debug_for_all)
        plain = AdsServer(self.fanout, identify.proxy, note=registrations.unproven, aside=questions)
        secure = AdsServer(self.fanout, identify.proven, gatekeeper.admit, note)
        limits = grpc_limits(settings)
        async with asyncio.TaskGroup() as group:
            if settings.grpc_port:
                listener = Plaintext(settings.plain_address, settings.grpc_port)
                group.create_task(GrpcServer(plain.services(), [listener], limits).run())
            if settings.secure_grpc_port:
                group.create_task(self._certificates.run())
                await self._certificates.first()
                tls = Secure(settings.address, settings.secure_grpc_port, self._certificate)
                near = settings.address == _ANY
                shared = dataclasses.replace(limits, shares_port=near)
                group.create_task(GrpcServer(secure.services(), [tls], shared).run())
                if near:
                    # istioctl comes here by port-forward, with a token and without a certificate (ADR 0038).
                    door = Secure(
                        _LOOPBACK, settings.secure_grpc_port, self._certificate, require_client=False
                    )
                    asked = AdsServer(self.fanout, identify.proxy, nobody, aside=questions)
                    group.create_task(GrpcServer(asked.services(), [door], shared).run())

    def _trust_domains(self, cluster: ClusterId) -> tuple[str, ...]:
        return self.builder.mesh.settings.domains_of_callers(cluster)

    def _doubts(self, peer: Peer) -> str:
        return self.denied.why_any(peer.uris, peer.serial)

    async def _hear_of_orders(self) -> None:
        """Follow in our own cluster what `isthmus ca deny` and `isthmus admin log` write into each."""
        async with Client(self._own) as client, asyncio.TaskGroup() as group:
            group.create_task(self._log_levels.run(client, self._settings.root_namespace))
            await follow_denied(client, self._settings.root_namespace, self.denied, group)

    def _certificate(self) -> ServerCertificate:
        held = self._certificates.held.value
        if held is None:
            raise RuntimeError("pilot has no certificate yet")
        return ServerCertificate(held.chain, held.key, held.roots)


async def run_pilot(settings: PilotSettings, own: Access) -> None:
    """Pilot until it is told to stop; `own` is the access to the cluster that it runs in."""
    pilot = Pilot(settings, own)
    await run_until_cancelled(pilot.run(), leave=pilot.leave)
