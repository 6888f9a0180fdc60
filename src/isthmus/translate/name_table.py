"""What the names of services mean to a proxy: told to its agent, which answers the application's DNS.

Cost follows what changed: each service's entry is made once for all proxies of a cluster, and joined.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.endpoint import Endpoint, EndpointShard, Health
from isthmus.model.families import Families, spoken
from isthmus.model.mesh import Mesh
from isthmus.model.name_table import NAME, PART_NAMES, Named, alias, entry, part_of
from isthmus.model.names import ClusterId, NetworkId, ServiceKey
from isthmus.model.network import Direct, Networks
from isthmus.model.scope import View
from isthmus.model.seen import Seen
from isthmus.model.service import Resolution, Service

Shards = Mapping[ClusterId, EndpointShard]
FarPods = Mapping[str, Service]
"""Of a headless service, the pods behind gateways, by their host names."""


class NameTables:
    """Makes name tables; proxies of one network that see the same share theirs."""

    def __init__(self) -> None:
        self._tables: Memo[Mapping[str, Versioned]] = Memo()
        self._entries: Memo[bytes] = Memo()
        self.memos = (self._entries,)
        self.of_views = (self._tables,)

    def of(self, mesh: Mesh, view: View, network: NetworkId) -> Mapping[str, Versioned]:
        """The table of the proxies of `view` in a network: each of its parts, and the whole, by name."""
        here = _Here(mesh.networks, network, view.cluster, view.families)
        inputs = (view.seen, mesh.networks, *(mesh.shards.get(key) for key in view.seen.headless))
        return self._tables.get(inputs, here[1:], lambda: self._table(mesh, view.seen, here))

    def _table(self, mesh: Mesh, seen: Seen, here: _Here) -> Mapping[str, Versioned]:
        parts: dict[str, list[bytes]] = {name: [] for name in PART_NAMES}
        far: dict[ServiceKey, dict[str, Service]] = defaultdict(dict)
        for each in seen.pods:
            far[each.owner][each.key.name] = each
        for service in seen.services:
            own = self._entry(service, mesh.shards.get(service.key, _NONE), far.get(service.key, {}), here)
            parts[part_of(service.key.hostname)].append(own)
        for each in seen.aliases:
            # The DNS of its cluster may know another name, and not what it stands for.
            parts[part_of(each.key.hostname)].append(alias(each.key.hostname, each.alias_of))
        made = {name: Versioned.of(name, b"".join(entries)) for name, entries in parts.items()}
        return {NAME: Versioned.of(NAME, b"".join(one.body for one in made.values())), **made}

    def _entry(self, service: Service, shards: Shards, far: FarPods, here: _Here) -> bytes:
        by, scope = (here.cluster, here.families), (here.cluster, here.families, here.network)
        if service.resolution is not Resolution.PASSTHROUGH:
            return self._entries.get((service,), by, lambda: b"".join(_of_service(service, here)))
        inputs = (service, shards, here.networks, *far.values())
        return self._entries.get(inputs, scope, lambda: b"".join(_of_headless(service, shards, far, here)))


class _Here(NamedTuple):
    """From where pods are called."""

    networks: Networks
    network: NetworkId
    cluster: ClusterId
    families: Families


_NONE: Shards = {}


def _of_service(service: Service, here: _Here) -> Iterator[bytes]:
    """A service with addresses; one that stands for another name only where its cluster's DNS does not say so."""
    every = tuple(each for each in service.addresses(here.cluster) if "/" not in each)
    if every:
        yield _written(service, spoken(every, here.families))
    elif service.external_name and here.cluster not in service.clusters:
        yield alias(service.key.hostname, service.external_name.rstrip(".").lower())


def _of_headless(service: Service, shards: Shards, far: FarPods, here: _Here) -> Iterator[bytes]:
    """All pods that can be called from there, together and each by its own name: a near one before a far one.

    Those behind gateways are services of their own, called at what is given to these.
    """
    near = _reached(shards, here)
    addresses = {address for each in near for address in each.addresses}
    ready = {each.far_name for shard in shards.values() for each in shard.endpoints if _is_ready(each)}
    for pod in far.keys() & ready:
        addresses.update(spoken(far[pod].addresses(here.cluster), here.families))
    yield _written(service, tuple(sorted(addresses)))
    pods: dict[str, Endpoint] = {}
    for each in near:
        if each.hostname:
            pods.setdefault(each.hostname, each)
    for name in sorted(pods):
        host = f"{name}.{service.key.hostname}"
        yield entry(host, Named(pods[name].addresses, f"{name}.{service.key.name}", service.key.namespace))


def _reached(shards: Shards, here: _Here) -> list[Endpoint]:
    """The pods that take calls to their own addresses, those of the caller's cluster first."""
    return [
        found
        for name in sorted(shards, key=lambda name: (name != here.cluster, name))
        for each in shards[name].endpoints
        if each.address
        and _is_ready(each)
        and isinstance(here.networks.reach(here.network, each), Direct)
        and (found := each.spoken(here.families)) is not None
    ]


def _is_ready(endpoint: Endpoint) -> bool:
    return endpoint.health is Health.HEALTHY


def _written(service: Service, addresses: Iterable[str]) -> bytes:
    name = "" if service.entry else service.name
    return entry(service.key.hostname.lower(), Named(tuple(addresses), name, service.key.namespace))
