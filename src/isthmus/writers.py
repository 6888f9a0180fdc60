"""What Pilot writes into its own cluster, which holds the configuration: of several Pilots never two of one object.

There are two Leases: one for objects that name no revision, in which the default revision precedes others, and one for
those of our own. Who registers with us is written by us without a Lease: entries are compared and swapped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from socket import gethostname
from uuid import uuid4

from isthmus.api.gateway_api.gateway import Gateway
from isthmus.api.resource import Ref
from isthmus.discovery.default_revision import DefaultRevision
from isthmus.discovery.kept_keys import KeptKeys
from isthmus.discovery.managed_gateways import ManagedGateways
from isthmus.discovery.registrar import Registrar
from isthmus.discovery.registrations import Registrations
from isthmus.discovery.status_writer import Statuses, StatusWriter, WriterSettings
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client
from isthmus.kube.lease import Lease, LeaseSettings
from isthmus.model.key_source import GoodKeys, KeySource
from isthmus.model.names import ClusterId
from isthmus.model.revision import suffix
from isthmus.settings import PilotSettings
from isthmus.sidecar.inject.routers import RouterPods

LEASE = "istio-pilot-leader"


@dataclass(frozen=True, slots=True)
class ToWrite:
    """All that is to be written."""

    statuses: Statuses
    gateways: Watchable[tuple[Gateway, ...]]
    registrations: Registrations
    kept: KeptKeys
    keys: Watchable[Mapping[KeySource, GoodKeys | None] | None]
    is_labelled: Callable[[Ref], bool]
    """Whether an object is of our own revision by its label, and not of all."""


class Writers:
    """Writes with leave, and says by `leads` whether this Pilot speaks for its revision."""

    def __init__(self, settings: PilotSettings, to_write: ToWrite) -> None:
        self._settings, self._to_write = settings, to_write
        self.leads: Watchable[bool] = Watchable(False)

    async def run(self, client: Client) -> None:
        """Write until cancelled; the Leases are given back then."""
        settings, to_write = self._settings, self._to_write
        root, cluster = settings.root_namespace, ClusterId(settings.cluster)
        default = DefaultRevision(client, settings.revision, root)
        holder = f"{gethostname()}-{uuid4()}"
        common = Lease(client, (root, LEASE), holder, LeaseSettings(precedes=default.is_ours))
        # Proxies of other clusters find Pilot by what its holder writes: they cannot wait as long as statuses can.
        soon = LeaseSettings(duration_s=6.0, renewal_s=2.0)
        own = Lease(client, (root, f"{LEASE}-{settings.revision}"), holder, soon)
        routers = RouterPods(client, root, suffix(settings.revision))
        try:
            async with asyncio.TaskGroup() as group:
                for each in (default, common, own):
                    group.create_task(each.run())
                group.create_task(self._follow(own.held))
                for lease, labelled in ((common, False), (own, True)):
                    writing = WriterSettings(concerns=self._concerns(labelled=labelled))
                    writer = StatusWriter(cluster, client, to_write.statuses, writing)
                    revision = settings.revision if labelled else ""
                    gateways = ManagedGateways(client, to_write.gateways, routers.containers, revision)
                    group.create_task(writer.run(lease.held))
                    group.create_task(gateways.run(lease.held))
                registrar = Registrar(client, (root, gethostname()), to_write.registrations)
                group.create_task(registrar.run(common.held))
                group.create_task(to_write.kept.run(client, common.held, to_write.keys))
        finally:
            self.leads.set(False)

    async def _follow(self, held: Watchable[bool]) -> None:
        async for is_ours in held.changes():
            self.leads.set(is_ours)

    def _concerns(self, *, labelled: bool) -> Callable[[Ref], bool]:
        return lambda ref: self._to_write.is_labelled(ref) is labelled
