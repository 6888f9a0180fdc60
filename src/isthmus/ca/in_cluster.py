"""Citadel as a pod of its cluster: what it asks of the API server and writes there, and all of it wired."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from socket import gethostname
from uuid import uuid4

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.namespace import Namespace
from isthmus.api.resource import Kind
from isthmus.ca import denied as denied_list
from isthmus.ca import store
from isthmus.ca.account_objects import ClusterSecrets, OwnDesk, keep_account_secrets
from isthmus.ca.account_secrets import AccountSecrets, Renewal
from isthmus.ca.audit import Audit
from isthmus.ca.authority import Authority
from isthmus.ca.citadel import Citadel, CitadelSettings, authority_of, load_authority, own_voucher
from isthmus.ca.denied import Denying, DenyList
from isthmus.ca.issuers import Issuer
from isthmus.ca.issuers.own import OwnIssuer
from isthmus.ca.neighbours import Neighbours
from isthmus.ca.review import ClusterReviewer
from isthmus.ca.roots import CONFIG_MAP, Published, RootPublisher, Write
from isthmus.ca.roots_file import keep_roots
from isthmus.ca.self_signed import kept_root
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, Scope
from isthmus.kube.informer import Informer
from isthmus.kube.kubeconfig import Access
from isthmus.kube.lease import Lease, LeaseSettings
from isthmus.kube.watch import Watch

_MANAGER = "istio-citadel"
LEASE = "istio-citadel-leader"
_DENIED_LIMIT_S = 10.0  # then Citadel serves those who can prove themselves without an API server
_NAMESPACES = Kind("", ("v1",), "Namespace", "namespaces", Namespace, namespaced=False)
_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)


async def run_citadel(settings: CitadelSettings, access: Access) -> None:
    """Citadel of the cluster behind `access`, until cancelled.

    Raises `InvalidStore` where the CA cannot be used, `AnotherRoot` and `KubeError` where none could be made, and
    `OSError` or `RuntimeError` where a port is taken.
    """
    clock = SystemClock()
    async with Client(access, clock=clock) as client:
        authority = Watchable(await _authority(settings, client, clock))
        publisher = RootPublisher(writer(client), _published(authority.value), clock, settings.namespace)
        vouchers = own_voucher(settings, ClusterReviewer(client))
        citadel = Citadel(settings, authority, vouchers, clock)
        neighbours = Neighbours(
            settings.clusters_directory, settings.vouched, vouchers, clock, settings.reload_s
        )
        async with asyncio.TaskGroup() as group:
            await follow_denied(client, settings.namespace, citadel.denied, group)
            group.create_task(citadel.log_levels.run(client, settings.namespace))
            group.create_task(citadel.run())
            group.create_task(neighbours.run())
            lease = writers_lease(settings, client, clock)
            group.create_task(lease.run())
            group.create_task(publish_roots(client, publisher, lease.held))
            group.create_task(_tell_roots(authority, publisher))
            if settings.roots_file:
                roots = (newest.roots_pem async for newest in authority.changes())
                group.create_task(keep_roots(settings.roots_file, roots))
            if settings.account_secrets:
                signs = Denying(OwnIssuer(authority), citadel.denied)
                kept = _account_secrets(settings, client, (authority, signs), clock)
                spaces = settings.account_secrets.namespaces
                group.create_task(keep_account_secrets(client, kept, spaces, publisher.writes))


async def _authority(settings: CitadelSettings, client: Client, clock: Clock) -> Authority:
    """That of the CA files; where there are none, or none are wanted, of the root that we keep ourselves."""
    plugged_in = not settings.self_signed and bool(store.read_paths(settings.ca_files))
    if plugged_in or settings.self_signed is False:
        return load_authority(settings, clock)
    return authority_of(settings, await kept_root(client, settings.root, clock), clock)


def writers_lease(settings: CitadelSettings, client: Client, clock: Clock) -> Lease:
    """By which of several Citadels of a cluster, of whatever revisions, one writes into it.

    All sign. New namespaces wait for their roots, so that one that dies is followed soon.
    """
    where, holder = (settings.namespace, LEASE), f"{gethostname()}-{uuid4()}"
    return Lease(client, where, holder, LeaseSettings(duration_s=6.0, renewal_s=2.0), clock)


def _account_secrets(
    settings: CitadelSettings, client: Client, by: tuple[Watchable[Authority], Issuer], clock: Clock
) -> AccountSecrets:
    authority, issuer = by
    renewal = settings.account_secrets or Renewal()
    audit = Audit(settings.audit_file, clock)
    desk = OwnDesk(issuer, settings.terms.names, settings.trust_domain, audit)
    return AccountSecrets(ClusterSecrets(client), desk, authority, renewal, clock)


async def follow_denied(client: Client, namespace: str, denied: DenyList, group: asyncio.TaskGroup) -> None:
    """Let `denied` hear of its ConfigMap for as long as `group` lasts; it knows it on return, if anybody answers."""
    scope = Scope(namespace, fields=f"metadata.name={denied_list.CONFIG_MAP}")
    informer = Informer(_CONFIG_MAPS, Watch(client, _CONFIG_MAPS, scope), denied.seen)
    group.create_task(informer.run())
    with suppress(TimeoutError):
        async with asyncio.timeout(_DENIED_LIMIT_S):
            await informer.synced.wait()


async def publish_roots(client: Client, publisher: RootPublisher, held: Watchable[bool]) -> None:
    """Let `publisher` keep all namespaces of the cluster behind `client` true while it is `held` to."""
    ours = Scope(fields=f"metadata.name={CONFIG_MAP}")
    config_maps = Informer(_CONFIG_MAPS, Watch(client, _CONFIG_MAPS, ours), publisher.config_map_seen)
    namespaces = Informer(_NAMESPACES, Watch(client, _NAMESPACES), publisher.namespace_seen)
    async with asyncio.TaskGroup() as group:
        group.create_task(config_maps.run())
        group.create_task(namespaces.run())
        # Else every ConfigMap that is there already would be written once more at each start.
        await config_maps.synced.wait()
        await namespaces.synced.wait()
        group.create_task(publisher.run(held))


def writer(client: Client) -> Write:
    """`Write` by server-side apply through `client`."""

    async def write(namespace: str, data: Mapping[str, str]) -> None:
        metadata = {"name": CONFIG_MAP, "namespace": namespace, "labels": {"istio.io/config": "true"}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
        await client.apply(_CONFIG_MAPS, body, _MANAGER)

    return write


async def _tell_roots(authority: Watchable[Authority], publisher: RootPublisher) -> None:
    async for newest in authority.changes():
        publisher.publish(_published(newest))


def _published(authority: Authority) -> Published:
    return Published(authority.roots_pem, authority.issuer)
