"""The mesh: one frozen snapshot of all that translation may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec

from isthmus.api.istio.load_balancer import LocalityLbSetting, ZoneAwareLbSetting
from isthmus.api.istio.mesh_config import MeshConfig
from isthmus.api.resource import Object, Ref
from isthmus.model.cluster_domains import Domains, named
from isthmus.model.credential import Credential
from isthmus.model.credential_key import CredentialKey
from isthmus.model.endpoint import Backing, EndpointShard
from isthmus.model.findings import Finding
from isthmus.model.key_source import IssuerKeys, KeySource
from isthmus.model.names import ClusterId, Hostname, ServiceKey, host_matches
from isthmus.model.network import Networks
from isthmus.model.origins import Origin, Origins
from isthmus.model.service import Service
from isthmus.model.setting_parts import (
    Exports,
    ListenerSettings,
    RouteSettings,
    Unknown,
    UpstreamSettings,
)
from isthmus.model.trust_bundles import TrustBundle, Trusted
from isthmus.model.workload import Workload

T = TypeVar("T", bound=Object)


LocalWords = tuple[tuple[str, bool], ...]
"""Whether callers of hosts, or patterns, reach the endpoints of their own cluster alone; the first that fits counts."""


def local_words(said: LocalWords, domain: str) -> LocalWords:
    """What is said and what is usual, the most specific first: each cluster's own parts are local, as in Istio."""
    usual = ((f"*.kube-system.svc.{domain}", True), (f"kubernetes.default.svc.{domain}", True))
    return tuple(sorted((*said, *usual), key=lambda word: -len(word[0].lstrip("*"))))


class MeshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole mesh."""

    domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()  # callers of these are of the mesh, too
    cluster_domains: Domains = ()  # of clusters that have trust domains of their own
    bundles: tuple[TrustBundle, ...] = ()  # by which certificates of other trust domains are believed
    root_namespace: str = "istio-system"
    config_cluster: ClusterId = ClusterId("")  # whose configuration objects are read
    config_map: str = "istio"  # where they are written, in the root namespace
    unknown: Unknown = Unknown.ALLOW
    exports: Exports = Exports()  # objects that say nothing have them already
    locality_lb_setting: LocalityLbSetting | None = None  # for services of which no DestinationRule says it
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None  # the same, and counts before it
    upstream: UpstreamSettings = UpstreamSettings()
    listener: ListenerSettings = ListenerSettings()
    route: RouteSettings = RouteSettings()
    local: tuple[
        tuple[str, bool], ...
    ] = ()  # whether callers of hosts, or patterns, reach their cluster alone
    written: MeshConfig = MeshConfig()  # what the parts come from, with all that is read elsewhere

    @property
    def written_in(self) -> Ref:
        """The ConfigMap that has the mesh's settings."""
        return Ref("ConfigMap", self.root_namespace, self.config_map)

    @property
    def own_domains(self) -> tuple[str, ...]:
        """The trust domains of the mesh as a whole: its own one first."""
        return (self.trust_domain, *self.trust_domain_aliases)

    @property
    def vouched_domains(self) -> tuple[str, ...]:
        """The trust domains for which Citadels' roots vouch: the mesh's own, and those of single clusters."""
        return tuple(dict.fromkeys((*self.own_domains, *named(self.cluster_domains))))

    def domain_in(self, cluster: ClusterId) -> str:
        """The trust domain of a cluster's workloads."""
        return dict(self.cluster_domains).get(cluster, self.trust_domain)

    def domains_of_callers(self, cluster: ClusterId) -> tuple[str, ...]:
        """Those that certificates of a cluster's workloads may show, what they should be first: they change slowly."""
        return tuple(dict.fromkeys((self.domain_in(cluster), *self.own_domains)))

    @property
    def believed_domains(self) -> tuple[str, ...]:
        """The trust domains whose workloads may call those of the mesh, as far as policies let them."""
        return tuple(dict.fromkeys((*self.vouched_domains, *(each.trust_domain for each in self.bundles))))

    @property
    def trusted(self) -> Trusted:
        """What agents are told of roots."""
        return Trusted(self.vouched_domains, self.bundles)

    def keeps_local(self, hostname: Hostname) -> bool:
        """Whether callers of a service reach the endpoints of their own cluster alone."""
        words = self.local or local_words((), self.domain)
        return next((is_local for host, is_local in words if host_matches(host, hostname)), False)

    @property
    def of_upstreams(self) -> tuple[object, ...]:
        """The parts on which upstreams to services depend: where calls stay, none cross to other clusters."""
        return self.upstream, self.locality_lb_setting, self.zone_aware_lb_setting, self.local

    @property
    def of_routes(self) -> tuple[object, ...]:
        """The parts on which routes to services depend: tries in other clusters are none where calls stay."""
        return self.route, self.local

    @property
    def allow_any_outbound(self) -> bool:
        """Whether calls to destinations that nobody knows pass."""
        return self.unknown is not Unknown.REFUSE


Services = Mapping[ServiceKey, Service]
Shards = Mapping[ServiceKey, Mapping[ClusterId, EndpointShard]]
Backings = Mapping[ServiceKey, Backing]
Workloads = Mapping[tuple[ClusterId, str], Workload]
"""By cluster and address."""


class Mesh(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One state of the mesh. Made by `MeshBuilder` only; a part that did not change is the same object.

    Compared and remembered by identity: never build one to look something up.
    """

    settings: MeshSettings = MeshSettings()
    services: Services = {}
    shards: Shards = {}
    backings: Backings = {}
    workloads: Workloads = {}
    networks: Networks = Networks()
    config: Mapping[str, Mapping[Ref, Object]] = {}  # by kind, then ref
    origins: Mapping[Ref, Origins] = {}  # of configuration that nobody wrote
    statuses: Mapping[Ref, msgspec.Struct] = {}  # what is to be told of objects of the configuration cluster
    credentials: Mapping[CredentialKey, Credential] = {}  # those that are followed, be they there or not
    credential_grants: frozenset[tuple[str, Ref]] = frozenset()  # who, by namespace, may use another's Secret
    key_sets: Mapping[KeySource, IssuerKeys] = {}  # of issuers of tokens, as far as they are fetched
    findings: tuple[Finding, ...] = ()

    def origin(self, ref: Ref, path: str = "$") -> Origin:
        """What somebody wrote, from which the part at `path` of an object was made: mostly the object itself."""
        found = self.origins.get(ref)
        return found.of(path) if found is not None else Origin(ref, path)

    def told(self, finding: Finding) -> Finding:
        """`finding`, about what somebody wrote."""
        if finding.ref not in self.origins:
            return finding
        ref, path = self.origin(finding.ref, finding.path)
        return msgspec.structs.replace(finding, ref=ref, path=path)

    def of(self, kind: type[T]) -> tuple[T, ...]:
        """All configuration objects of a kind, in the order of their refs."""
        objects = self.config.get(kind.__name__, {})
        return tuple(cast(T, objects[ref]) for ref in sorted(objects))

    def shard(self, key: ServiceKey, cluster: ClusterId) -> EndpointShard:
        """The endpoints of a service in one cluster; empty where there are none."""
        return self.shards.get(key, {}).get(cluster, _EMPTY)


_EMPTY = EndpointShard(())
