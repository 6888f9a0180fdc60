"""The only place where the mesh moves forward. Equal stays the same object; cost follows what changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.decode import equal_for_mesh
from isthmus.api.resource import Object, Ref
from isthmus.model import maps
from isthmus.model.assemble import backings_after, service_of, shard_of, workload_of
from isthmus.model.change import Change, ChangeKey, Doubted, Refused, Unknown
from isthmus.model.completion import Completion
from isthmus.model.config import Known, config_after
from isthmus.model.config_cluster import is_config, without_effect
from isthmus.model.credentials import Credentials
from isthmus.model.delta import Delta
from isthmus.model.derived import Derived, Sources
from isthmus.model.dirt import Dirt
from isthmus.model.discovery_selection import Selection
from isthmus.model.endpoint import EndpointShard
from isthmus.model.entries import Entries, joined
from isthmus.model.exports import refs_shown, service_shown
from isthmus.model.facts import Facts, Name
from isthmus.model.far_pods import FarPods
from isthmus.model.findings import Finding
from isthmus.model.key_sets import KeySets, other_keys
from isthmus.model.mesh import Mesh, MeshSettings, Services, Shards, Workloads
from isthmus.model.mesh_settings import with_same_parts
from isthmus.model.names import NO_CLUSTER, ClusterId, ServiceKey, kubernetes_hostname
from isthmus.model.network_state import NetworkState
from isthmus.model.peer_state import PeerState
from isthmus.model.service import Service
from isthmus.model.serving import Serving
from isthmus.model.settings_state import SettingsState, moves_all
from isthmus.model.shards import with_the_same
from isthmus.model.stand_ins import StandIns
from isthmus.model.workload import Workload


class Step(NamedTuple):
    """The next mesh, and where it may differ from the one before."""

    mesh: Mesh
    delta: Delta


class MeshBuilder:
    """Takes changes and makes the next mesh. Holds all facts; the mesh holds what follows from them."""

    def __init__(self, settings: MeshSettings) -> None:
        self._base = settings
        self._facts: dict[ClusterId, Facts] = {}
        self._wrong: dict[tuple[ClusterId, Ref], Finding] = {}
        self._stand_ins = StandIns()
        self._written = SettingsState(settings)
        self._disagreements: dict[ServiceKey, tuple[Finding, ...]] = {}
        self._serving = Serving()
        self._entries = Entries()
        self._peers = PeerState(settings.root_namespace)
        self._completion = Completion(settings.domain)
        self._far_pods = FarPods()
        self._networks = NetworkState(settings)
        self.derived = Derived(settings)
        self._credentials = Credentials(settings.written_in)
        self._key_sets = KeySets()
        self._mesh = Mesh(settings=settings, origins=self.derived.origins, statuses=self.derived.statuses)
        self._selection = Selection(settings.root_namespace)
        self._is_first = True

    @property
    def mesh(self) -> Mesh:
        """The newest mesh."""
        return self._mesh

    @property
    def objects(self) -> Mapping[ClusterId, Mapping[Ref, Object]]:
        """All that is known of each cluster now."""
        return {cluster: facts.objects for cluster, facts in self._facts.items()}

    def apply(self, batch: Mapping[ChangeKey, Change] | Iterable[Change]) -> Step:
        """The mesh after `batch`."""
        dirt = Dirt(self._entries)
        for change in batch.values() if isinstance(batch, Mapping) else batch:
            self._take_all(self._selection.passed(change, self._known), dirt)
        step = self._next(dirt)
        self._mesh, self._is_first = step.mesh, False
        return step

    def _known(self, cluster: ClusterId) -> Iterator[Change]:
        facts = self._facts.get(cluster)
        known: Mapping[Ref, Object] = facts.objects if facts is not None else {}
        yield from (Change(ChangeKey(cluster, ref), value) for ref, value in known.items())
        yield from (Change(ChangeKey(*key), each) for key, each in self._wrong.items() if key[0] == cluster)

    def _take_all(self, changes: Iterable[Change], dirt: Dirt) -> None:
        for change in changes:
            self._take(change, dirt)

    def _take(self, change: Change, dirt: Dirt) -> None:
        cluster, ref = change.key
        if ref.kind == "Cluster":
            self._drop_cluster(cluster, dirt)
            return
        self._wrong.pop((cluster, ref), None)
        if isinstance(change.value, Doubted):
            self._wrong[cluster, ref] = change.value.finding
            change = change._replace(value=change.value.value)
        if self._key_sets.are_meant(ref):
            self._key_sets.take(change)
        elif self._written.bundles.are_meant(ref):
            dirt.settings |= self._written.bundles.take(change)
        elif self._credentials.are_meant(ref):
            if (wrong := self._credentials.take(change)) is not None:
                self._wrong[cluster, ref] = wrong
        elif isinstance(change.value, Finding):
            self._wrong[cluster, ref] = change.value  # the last good one stays
        elif isinstance(change.value, Refused):
            facts = self._facts.get(cluster)
            held = facts.objects.get(ref) if facts is not None else None
            self._wrong[cluster, ref], value = self._stand_ins.after((cluster, ref), change.value, held)
            self._put(cluster, ref, value, dirt)
        elif not isinstance(change.value, Unknown | Doubted):
            self._put(cluster, ref, change.value, dirt)

    def _drop_cluster(self, cluster: ClusterId, dirt: Dirt) -> None:
        for ref in list(self._facts[cluster].objects) if cluster in self._facts else []:
            self._put(cluster, ref, None, dirt)
        self._facts.pop(cluster, None)
        self._credentials.drop(cluster)
        self._wrong = {key: finding for key, finding in self._wrong.items() if key[0] != cluster}

    def _put(self, cluster: ClusterId, ref: Ref, value: Object | None, dirt: Dirt) -> None:
        configures = is_config(ref)
        is_read = cluster == self._base.config_cluster
        if configures and not is_read and value is not None:
            self._wrong[cluster, ref] = without_effect(cluster, ref, self._base.config_cluster)
        facts = self._facts.get(cluster)
        if facts is None:
            facts = self._facts[cluster] = Facts(self._base.root_namespace)
        before = facts.objects.get(ref)
        if value is before or equal_for_mesh(before, value, with_generation=configures):
            # A watcher that takes over tells everything again; a finding may have stood in between.
            dirt.settings |= isinstance(value, ConfigMap)
            return
        facts.put(ref, value)
        dirt.mark(cluster, facts, before, value)
        if is_read:
            dirt.here.add(ref)
        if configures and is_read:
            dirt.config.add(ref)
            dirt.entries |= self._entries.put(before, value)
            self._peers.put(ref, before, value)

    def _next(self, dirt: Dirt) -> Step:
        old = self._mesh
        settings = self._settings(dirt)
        self._peers.settle(dirt, self._entries, self._facts)
        self._networks.read(dirt, self._facts)
        networks = self._networks.networks(dirt, self._facts, old.networks)
        touched = {self._key(name) for name in dirt.services} | dirt.entries
        services, moved = self._services(touched, settings)
        where = {(self._key(name), cluster) for name, cluster in dirt.shards}
        # A service that changed may call its ports by other names, for the endpoints of every cluster.
        where |= {
            (key, cluster)
            for key in touched
            for cluster in {NO_CLUSTER, *self._facts, *old.shards.get(key, {})}
        }
        shards = self._shards(where, dirt, services, settings)
        touched |= moved | {key for key, _ in where}
        keys = touched if networks is old.networks else services.keys()
        pods = self._far_pods.settle(keys, services, shards, networks)
        services, moved = self._completion.after(services, pods.services, self._with_services)
        shards = maps.updated(shards, pods.shards)
        touched |= moved | pods.services.keys()
        domains = settings.own_domains, settings.vouched_domains
        backings = backings_after(old.backings, touched, (services, shards), domains)
        workloads = self._workloads(dirt, services, shards, settings)
        here = self._here()
        moved_services = maps.differing(old.services, services, touched)
        sources = Sources(here, services, self._credentials.found, settings)
        derived = self.derived.follow(dirt.here, moved_services, sources)
        dirt.config |= derived.objects
        mesh = Mesh(
            settings=settings,
            services=services,
            shards=shards,
            backings=backings,
            workloads=workloads,
            networks=networks,
            config=config_after(old.config, dirt.config, Known(here, self.derived.objects, settings.exports)),
            origins=self.derived.origins,
            statuses=self.derived.statuses,
            credential_grants=self.derived.grants,
            credentials=self._credentials.found,
            key_sets=self._key_sets.found,
            findings=self._findings(),
        )
        delta = Delta(
            services=moved_services | maps.differing(old.backings, backings, touched),
            endpoints=maps.differing(old.shards, shards, touched),
            config=frozenset(dirt.config),
            statuses=derived.statuses,
            workloads=maps.differing(old.workloads, workloads, dirt.workloads),
            networks=networks is not old.networks,
            credentials=maps.all_differing(old.credentials, mesh.credentials),
            key_sets=other_keys(old.key_sets, self._key_sets.found),
            settings=settings is not old.settings,
            everything=self._is_first,
        )
        return Step(mesh, delta)

    def _key(self, name: Name) -> ServiceKey:
        namespace, service = name
        return ServiceKey(namespace, kubernetes_hostname(service, namespace, self._base.domain))

    def _name(self, key: ServiceKey) -> Name:
        """By which a cluster would have the service; a host of another form is no Service's name."""
        return key.namespace, key.hostname.removesuffix(f".{key.namespace}.svc.{self._base.domain}")

    def _settings(self, dirt: Dirt) -> MeshSettings:
        old = self._mesh.settings
        if not dirt.settings:
            return old
        settings = self._written.read(self._facts, old)
        self._take_all(self._selection.choose(settings.written.discovery_selectors, self._known), dirt)
        if moves_all(old, settings):
            dirt.mark_all(self._facts)
            dirt.config |= set(refs_shown(self._here()))
        return with_same_parts(old, settings)

    def _services(
        self, keys: set[ServiceKey], settings: MeshSettings
    ) -> tuple[Services, frozenset[ServiceKey]]:
        """The services, of which `keys` are made anew; and those that are given something else now."""
        made: dict[ServiceKey, Service | None] = {}
        # The order in which clusters' words count: configuration first, then by name.
        ordered = sorted(self._facts, key=lambda cluster: (cluster != self._base.config_cluster, cluster))
        for key in keys:
            merged = service_of(key, self._name(key), [(each, self._facts[each]) for each in ordered])
            entered = self._entries.service(key, settings.trust_domain)
            self._disagreements.pop(key, None)
            findings = merged.findings if merged is not None else ()
            if merged is not None and entered is not None:
                findings += tuple(self._entries.overruled(key))
            if findings:
                self._disagreements[key] = findings
            service = merged.service if merged is not None else self._peers.named(entered)
            made[key] = service_shown(service, settings.exports)
        return self._completion.after(self._mesh.services, made, self._with_services)

    @property
    def _with_services(self) -> frozenset[ClusterId]:
        return frozenset(each for each, facts in self._facts.items() if facts.has_services)

    def _shards(
        self, where: set[tuple[ServiceKey, ClusterId]], dirt: Dirt, services: Services, settings: MeshSettings
    ) -> Shards:
        old = self._mesh.shards
        made: dict[ServiceKey, dict[ClusterId, EndpointShard]] = {}
        for key, cluster in where:
            before, service = old.get(key, {}).get(cluster), services.get(key)
            after = None if service is None else self._shard(service, cluster, settings.domain_in(cluster))
            if before == after:
                continue
            if before is not None and after is not None:
                after = with_the_same(before, after)
            by_cluster = made.setdefault(key, dict(old.get(key, {})))
            by_cluster.pop(cluster, None)
            if after is not None:
                by_cluster[cluster] = after
            dirt.workloads |= self._serving.moved((key, cluster), before, after)
        return maps.updated(old, {key: by_cluster or None for key, by_cluster in made.items()})

    def _shard(self, service: Service, cluster: ClusterId, trust_domain: str) -> EndpointShard | None:
        """The service's endpoints in one cluster, or those that are in none."""
        name = self._name(service.key)
        if cluster == NO_CLUSTER:
            facts = self._facts.get(self._base.config_cluster)
            beside = facts.service(name) if facts is not None else None
            found = self._entries.shard(service, beside, trust_domain)
            return self._peers.taken(joined(self._networks.ranges.placed(found)))
        if cluster not in self._facts:
            return None
        where = (cluster, self._facts[cluster])
        return self._peers.taken(shard_of(service, name, where, self._entries, trust_domain))

    def _workloads(self, dirt: Dirt, services: Services, shards: Shards, settings: MeshSettings) -> Workloads:
        old = self._mesh.workloads
        # A port that got another name or protocol is another inbound side.
        for key in {self._key(name) for name in dirt.services} | dirt.entries:
            for cluster, shard in shards.get(key, {}).items():
                dirt.workloads |= {(cluster, endpoint.address) for endpoint in shard.endpoints}
        made: dict[tuple[ClusterId, str], Workload | None] = {}
        dirt.workloads |= {
            (cluster, each)
            for cluster, address in dirt.workloads
            if cluster in self._facts
            for each in self._facts[cluster].addresses_beside(address)
        }
        for cluster, address in dirt.workloads:
            facts = self._facts.get(cluster)
            after = None
            if facts is not None:
                addresses = facts.addresses_beside(address)
                keys = {key for each in addresses for key in self._serving.at(cluster, each)}
                served = [(services[key], shards[key][cluster]) for key in keys if key in services]
                after = workload_of((cluster, address), facts, served, settings.domain_in(cluster))
            before = old.get((cluster, address))
            made[cluster, address] = maps.same(before, after) if after is not None else None
        return maps.updated(old, made)

    def _here(self) -> Mapping[Ref, Object]:
        """The objects of the cluster that holds the configuration."""
        facts = self._facts.get(self._base.config_cluster)
        return facts.objects if facts is not None else {}

    def _findings(self) -> tuple[Finding, ...]:
        found = [
            *self._wrong.values(),
            *self._written.findings,
            *self._networks.findings,
            *self.derived.findings,
            *(f for each in self._disagreements.values() for f in each),
        ]
        ordered = tuple(sorted(found, key=lambda one: (one.ref, one.cluster, one.path, one.message)))
        return maps.same(self._mesh.findings, ordered)
