"""EDS by name: which endpoints a proxy is told of for an upstream, and how far each locality is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.endpoint import EndpointShard, Locality
from isthmus.model.mesh import Mesh
from isthmus.model.names import NO_CLUSTER, ClusterId, NetworkId, ServiceKey
from isthmus.model.network import Networks
from isthmus.model.proxy import Proxy
from isthmus.model.scope import View
from isthmus.model.service import Resolution, Service
from isthmus.translate.destinations import Known, known
from isthmus.translate.endpoints import NOWHERE, Assignments, Selection
from isthmus.translate.mesh_policy import settled
from isthmus.translate.names import LOCAL, Direction, UpstreamName
from isthmus.translate.passthrough import names_of, passes
from isthmus.translate.placement import Placement, Setting, Standpoint, labels_asked, placement, setting_of
from isthmus.translate.split_horizon import Ways, closed, own_only, ways
from isthmus.translate.tunnels import TUNNEL_PORT, tunnels
from isthmus.translate.upstream_policy import Policy

ShardsOfService = Mapping[ClusterId, EndpointShard]
Shards = Mapping[ServiceKey, ShardsOfService]

Existing = Callable[[View], frozenset[str]]

_NONE: ShardsOfService = {}
MANY = 64
"""From so many names on it is a proxy's first question, not one of a change."""
_REPLICAS = "pod-template-hash"
"""Label of pods by which those of one kind are known."""
_SHEETS = 512
"""How many such answers: one for each view, locality and set of names that proxies ask for."""


class LoadAssignments:
    """Makes load assignments for proxies; those of one cluster and locality share them."""

    def __init__(self) -> None:
        self._parts = Assignments()
        self._whole: Memo[Versioned] = Memo()
        self._targets: Memo[_Target | None] = Memo()
        self._sheets: OrderedDict[tuple[object, ...], _Sheet] = OrderedDict()
        self._differing: Memo[frozenset[ServiceKey]] = Memo()
        self._networks: Memo[frozenset[NetworkId]] = Memo()
        self._local: Memo[ShardsOfService] = Memo()
        self.memos = (
            *(self._parts.endpoints, self._parts.places, self._whole),
            *(self._networks, self._local),
        )
        self.of_views = (self._targets,)
        self.of_meshes = (self._differing,)

    def forget_views(self) -> None:
        """Forget what was answered to proxies whose views there are no more."""
        self._sheets.clear()

    def of(
        self,
        view: View,
        mesh: Mesh,
        names: frozenset[str],
        here: Standpoint,
        existing: Existing,
    ) -> Sequence[Versioned]:
        """Those of the load assignments `names` that exist; `existing` tells all that do in a view.

        For many names the last answer is kept, and only what differs since then is made again. `names`
        is known again by its identity. Of many that stand for nothing, nothing is remembered.
        """
        if len(names) < MANY:
            found = (self.named(view, mesh, name, here) for name in names)
            return [each for each in found if each]
        sheet = self._sheet(view, names, here, existing)
        self._bring_up_to_date(sheet, mesh, here)
        return sheet.made

    def _sheet(self, view: View, names: frozenset[str], here: Standpoint, existing: Existing) -> _Sheet:
        key = (id(view), id(names), here)
        sheet = self._sheets.get(key)
        if sheet is None:
            beneath = self._sheet(view.plain, names, here, existing) if view.plain is not view else None
            own = names & (_own_names(view, existing) if beneath else existing(view))
            targets = (self._target(view, name) for name in own)
            sheet = _Sheet((view, names), tuple(each for each in targets if each), beneath, view.apart)
            self._sheets[key] = sheet
            if len(self._sheets) > _SHEETS:
                self._sheets.popitem(last=False)
        self._sheets.move_to_end(key)
        return sheet

    def _bring_up_to_date(self, sheet: _Sheet, mesh: Mesh, here: Standpoint) -> None:
        before, shards = sheet.shards, mesh.shards
        if shards is before and sheet.networks is mesh.networks:
            return
        if before is None or sheet.networks is not mesh.networks:
            sheet.own = tuple(self._of_target(each, mesh, here) for each in sheet.targets)
        else:
            differing = self._differing.get((before, shards), "", lambda: _differing(before, shards))
            sheet.own = tuple(
                self._of_target(target, mesh, here) if target.known.service.key in differing else made
                for target, made in zip(sheet.targets, sheet.own, strict=True)
            )
        if sheet.beneath is not None:
            self._bring_up_to_date(sheet.beneath, mesh, here)
        sheet.shards, sheet.networks = shards, mesh.networks
        sheet.made = sheet.joined()

    def named(
        self,
        view: View,
        mesh: Mesh,
        name: str,
        here: Standpoint,
    ) -> Versioned | None:
        """The load assignment `name`; None where it names no port of a service that we tell endpoints of."""
        target = self._target(view, name)
        return None if target is None else self._of_target(target, mesh, here)

    def local(self, mesh: Mesh, proxy: Proxy) -> Versioned:
        """Those of its region with which the proxy shares its calls: its likes behind the first service it serves.

        All are of one priority: Envoy refuses others here.
        """
        workload = mesh.workloads.get((proxy.cluster, proxy.address))
        served = min(workload.serves, key=lambda each: each.service) if workload and workload.serves else None
        shards = mesh.shards.get(served.service, _NONE) if served else _NONE
        labels = tuple(each for each in workload.labels if each[0] == _REPLICAS) if workload else ()
        selection = Selection(served.port.name if served else "", labels)
        here = Locality(proxy.locality.region)

        def make() -> Versioned:
            near = {name: _near(here, shard) for name, shard in shards.items()}
            placed = Placement(None, fails_over=False, here=here)
            return Versioned.of(LOCAL, self._parts.body(LOCAL, near, selection, placed))

        return self._whole.get((shards,), (LOCAL, selection, here), make)

    def _target(self, view: View, name: str) -> _Target | None:
        return self._targets.get((view,), name, lambda: _target(view, name))

    def _of_target(self, target: _Target, mesh: Mesh, here: Standpoint) -> Versioned:
        known, selection = target.known, target.selection
        of_service = self._within(mesh.shards.get(known.service.key, _NONE), target.cluster)
        if known.service.node_only:
            selection = selection._replace(node=here.node or NOWHERE)
        # Where a Service says what is near, no detection of outliers is needed for others to take over.
        placed = placement(
            target.policy, target.setting, known.crosses or bool(known.service.distribution), here
        )
        inputs = (of_service, known.service, known.rule, target.setting)
        by = self._ways(target, of_service, mesh.networks, here)
        scope = (
            *(target.name, known.crosses, selection),
            *(placed.here, placed.values, by),
        )
        target = target._replace(selection=selection)
        return self._whole.get(inputs, scope, lambda: self._make(target, of_service, placed, by))

    def _within(self, shards: ShardsOfService, cluster: ClusterId) -> ShardsOfService:
        """Those of one cluster and of none, where there is only one whose endpoints may be reached."""
        if not cluster:
            return shards
        own = {name: each for name, each in shards.items() if name in {cluster, NO_CLUSTER}}
        return self._local.get((shards,), cluster, lambda: own)

    def _ways(self, target: _Target, shards: ShardsOfService, networks: Networks, here: Standpoint) -> Ways:
        """How the service's endpoints are reached that are in other networks."""
        if networks.is_flat and not here.sees and not target.selection.mutual_only:
            return ()
        there = ((network, cluster) for cluster in shards for network in self._networks_in(shards[cluster]))
        if target.selection.mutual_only:
            return own_only(here, there)
        found = ways(networks, here, there)
        return found if target.is_mutual else closed(found)

    def _networks_in(self, shard: EndpointShard) -> frozenset[NetworkId]:
        return self._networks.get((shard,), "", lambda: frozenset(each.network for each in shard.endpoints))

    def _make(self, target: _Target, shards: ShardsOfService, placed: Placement, by: Ways) -> Versioned:
        name = target.name.sni if target.selection.mutual_only else str(target.name)
        return Versioned.of(name, self._parts.body(name, shards, target.selection, placed, by))


def _near(here: Locality, shard: EndpointShard) -> EndpointShard:
    """The endpoints of a region."""
    return EndpointShard(tuple(each for each in shard.endpoints if each.locality.region == here.region))


class _Sheet:
    """The assignments of many names, and the shards that they were made from.

    What its view says as another does, that one's sheet `beneath` it has: all but of services that are `apart`.
    """

    __slots__ = ("alive", "beneath", "kept", "made", "networks", "own", "shards", "targets")

    def __init__(
        self,
        alive: tuple[object, ...],
        targets: tuple[_Target, ...],
        beneath: _Sheet | None,
        apart: frozenset[ServiceKey],
    ) -> None:
        self.alive = alive  # what the sheet is found by
        self.targets = targets
        self.beneath = beneath
        self.kept = [each.known.service.key not in apart for each in beneath.targets] if beneath else []
        self.shards: Shards | None = None
        self.networks: Networks | None = None
        self.own: tuple[Versioned, ...] = ()
        self.made: tuple[Versioned, ...] = ()

    def joined(self) -> tuple[Versioned, ...]:
        """All of them."""
        if self.beneath is None:
            return self.own
        return (*compress(self.beneath.made, self.kept), *self.own)


def _own_names(view: View, existing: Existing) -> frozenset[str]:
    """The names in a view of what it says otherwise than the plain one, and those that only it has."""
    services = (view.seen.by_host.get(key.hostname) for key in view.apart)
    return (existing(view) - existing(view.plain)).union(
        str(name) for service in services if service for name in names_of(known(view, service))
    )


def _differing(before: Shards, now: Shards) -> frozenset[ServiceKey]:
    """The services whose endpoints are not those of before."""
    gone = before.keys() - now.keys()
    return frozenset(key for key, found in now.items() if before.get(key) is not found) | gone


class _Target(NamedTuple):
    """What the name of an assignment stands for in a view."""

    name: UpstreamName
    known: Known
    policy: Policy
    setting: Setting
    selection: Selection
    cluster: ClusterId = ClusterId("")  # the only one whose endpoints may be reached

    @property
    def is_mutual(self) -> bool:
        """Whether endpoints that take mutual TLS of the mesh are called with it."""
        if self.name.direction is Direction.OUTBOUND_UDP:
            return bool(self.selection.tunnel)
        tls = self.policy.tls
        return not self.known.service.is_external if tls is None else tls.mode == "ISTIO_MUTUAL"


def _target(view: View, name: str) -> _Target | None:
    parts = UpstreamName.parse(name)
    if parts is None or not parts.direction.is_outbound:
        return None
    service, by_sni = view.service(parts.hostname, ""), "|" not in name
    if service is None or (not passes(view, service) if by_sni else _is_untold(service)):
        return None
    found, port = known(view, service), parts.port_of(service)
    subset = found.subset(parts.subset)
    if port is None or (parts.subset and subset is None):
        return None
    labels = tuple(sorted(subset.labels.items())) if subset else ()
    policy = settled(found.policy(port.number, subset), view.settings.upstream)
    setting = setting_of(policy, service, view.settings)
    is_udp = parts.direction is Direction.OUTBOUND_UDP
    tunnel = TUNNEL_PORT if is_udp and (by_sni or tunnels(found, policy)) else 0
    selection = Selection(
        port.name,
        labels,
        labels_asked(setting),
        mutual_only=by_sni,
        families=view.families,
        tunnel=tunnel,
    )
    only = view.cluster if found.is_local else ClusterId("")
    return _Target(parts, found, policy, setting, selection, only)


def _is_untold(service: Service) -> bool:
    """Whether we tell no endpoints of it to those who call it."""
    return service.resolution is not Resolution.ENDPOINTS
