"""The webhooks of one cluster, wired: the server, its certificate, what it knows, and who is told of its roots."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from uuid import uuid4

from isthmus.admission.bundles import MUTATING, VALIDATING, Answered, Belief, Bundles
from isthmus.admission.certificate import NoServer, bundle, is_for, root_of, shown
from isthmus.admission.certificate_folder import CertificateFolder
from isthmus.admission.configurations import Serving, injector_name, validator_name
from isthmus.admission.door import Door
from isthmus.admission.followed_settings import FollowedSettings
from isthmus.admission.https import HttpsServer
from isthmus.admission.injection import Elsewhere, Injection, unknown
from isthmus.admission.settings import WebhookSettings
from isthmus.api import kind_named
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Object, Ref
from isthmus.ca.roots import CONFIG_MAP, KEY
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit.clock import Clock
from isthmus.kit.metrics import DOOR_REFUSALS, WEBHOOK_CERTIFICATE_EXPIRY
from isthmus.kit.scopes import admission as log
from isthmus.kit.tasks import keep_trying
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.informer import Informer
from isthmus.kube.kubeconfig import Access
from isthmus.kube.lease import Lease
from isthmus.kube.watch import Watch
from isthmus.model.revision import suffix
from isthmus.sidecar.certs import Held

_CONFIG_MAPS = kind_named("ConfigMap")
LEASE = "istio-webhooks-leader"
_BELIEF_LIMIT_S = 60.0  # so long a new certificate waits until API servers are told of its root

_HEARD_S = 2.0  # for each API server to hear of what another one has taken


class Webhooks:
    """`run` serves once there is a certificate."""

    def __init__(
        self,
        settings: WebhookSettings,
        citadels: Watchable[Held | None],
        clock: Clock,
        elsewhere: Elsewhere = unknown,
    ) -> None:
        """`elsewhere`: what is known of other clusters that ask here."""
        self._settings, self._clock = settings, clock
        self._folder: CertificateFolder | None = None
        self._held = citadels
        if settings.certificate_dir:
            self._folder = CertificateFolder(Path(settings.certificate_dir), clock)
            self._held = self._folder.held
        self.known = FollowedSettings(settings.namespace, suffix(settings.revision), clock)
        door = Door(Injection(self.known, elsewhere), validates=settings.validates)
        self.server = HttpsServer(settings.address, settings.port or 0, door.answer)
        self.server.turned_away = lambda why: DOOR_REFUSALS.labels(door="webhooks", reason=why).inc()
        self._published = b""
        self._belief, self._writes = Belief(), Watchable(False)
        self._shown: Held | None = None
        self._coming: Held | None = None
        self._has_certificate = asyncio.Event()
        self._trouble = "there is no certificate yet"

    @property
    def trouble(self) -> str:
        """Why API servers cannot be answered now; empty where they can."""
        if self._trouble or self.known.now is not None:
            return self._trouble
        return "how pods are injected is not known yet"

    async def run(self, own: Access) -> None:
        """Serve until cancelled; at once done where there is no port to serve at.

        `own`: the access to the cluster whose API server asks. Raises `OSError`.
        """
        if self._settings.port is None:
            return
        async with asyncio.TaskGroup() as group:
            if self._folder is not None:
                group.create_task(self._folder.run())
            group.create_task(keep_trying("webhooks", lambda: self._follow(own)))
            group.create_task(self._take_certificates())
            await self._has_certificate.wait()
            group.create_task(self.server.run())

    async def follow(self, spec: ClusterSpec, client: Client) -> None:
        """Tell another cluster by which roots we are believed, where it asks us by a URL (ADR 0054).

        A companion of cluster watchers: it goes on until cancelled.
        """
        if spec.is_config or self._settings.port is None:
            return
        revision, namespace = self._settings.revision, self._settings.namespace
        named = ((MUTATING, injector_name(revision, namespace)),)
        answered = Answered(named, revision, namespace, spec.id, self._bears)
        await Bundles(client, answered, self._belief, self._writes).run()

    def _bears(self, host: str) -> bool:
        """Whether the certificate that we show, or are about to, is for a host."""
        return self._coming is not None and is_for(self._coming, host)

    async def _follow(self, own: Access) -> None:
        """Know what the cluster says, and tell it by which roots we are to be believed."""
        settings, names = self._settings, [(MUTATING, injector_name)]
        names += [(VALIDATING, validator_name)] if settings.validates else []
        named = tuple((kind, name(settings.revision, settings.namespace)) for kind, name in names)
        answered = Answered(named, settings.revision, settings.namespace)
        async with Client(own, clock=self._clock) as client, asyncio.TaskGroup() as group:
            where = (settings.namespace, f"{LEASE}{suffix(settings.revision)}")
            lease = Lease(client, where, f"{gethostname()}-{uuid4()}", clock=self._clock)
            group.create_task(self.known.run(client))
            group.create_task(lease.run())
            group.create_task(self._follow_lease(lease))
            group.create_task(Bundles(client, answered, self._belief, self._writes).run())
            if self._folder is None:
                scope = Scope(settings.namespace, fields=f"metadata.name={CONFIG_MAP}")
                watch = Watch(client, _CONFIG_MAPS, scope)
                group.create_task(Informer(_CONFIG_MAPS, watch, self._roots_seen).run())

    async def _follow_lease(self, lease: Lease) -> None:
        try:
            async for is_ours in lease.held.changes():
                self._writes.set(is_ours)
        finally:
            self._writes.set(False)

    def _roots_seen(self, _: Ref, found: Object | InvalidConfig | None) -> None:
        """The mesh's roots, which we hear of here before they are where our certificate's are read from."""
        if isinstance(found, ConfigMap):
            self._published = found.data.get(KEY, "").encode()
            self._tell()

    async def _take_certificates(self) -> None:
        async for held in self._held.changes():
            if held is not None:
                await self._take(held)

    async def _take(self, held: Held) -> None:
        """Show a certificate, the first at once, and another when API servers believe it or the last one ends."""
        host = Serving(namespace=self._settings.namespace, service=self._settings.service).host
        try:
            context, root = shown(held, host), root_of(held, self._clock.now())
        except NoServer as error:
            log.error("webhook certificate not taken", reason=str(error))
            self._trouble = self._trouble and str(error)
            return
        last, self._trouble, self._coming = self._shown, "", held
        self._tell()
        if last is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_BELIEF_LIMIT_S, max(0.0, last.end - self._clock.now()))):
                    await self._heard_of(root)
        self.server.show(context)
        self._shown = held
        self._has_certificate.set()
        self._tell()  # of what only the last one needed nobody needs to be told any more
        WEBHOOK_CERTIFICATE_EXPIRY.set(held.end)
        log.info("webhook certificate shown", serial=held.serial)

    async def _heard_of(self, root: str) -> None:
        """Return once API servers believe what is of `root`."""
        if root in (self._belief.seen.value or {root}):
            return
        await self._belief.until(root)
        await self._clock.sleep(_HEARD_S)

    def _tell(self) -> None:
        """Let webhooks believe the published roots, ours, and those of the certificate that is shown until then."""
        if self._coming is None:
            return
        last = self._shown or self._coming
        try:
            roots = (self._published, self._coming.roots, last.roots)
            self._belief.wanted.set(bundle(self._coming, roots, self._clock.now()))
        except NoServer as error:
            log.error("webhook roots not told", reason=str(error))
