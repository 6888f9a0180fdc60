"""How endpoints share the calls: which are tried first, and how much each locality gets.

Source: DestinationRule reference, LocalityLoadBalancerSetting; Istio's "Locality Load Balancing".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from isthmus.api.istio.load_balancer import LoadBalancerSettings, LocalityLbSetting, ZoneAwareLbSetting
from isthmus.envoy.types import Cluster
from isthmus.model.endpoint import Endpoint, Locality
from isthmus.model.families import BOTH, Families
from isthmus.model.locality import distance
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId, NetworkId
from isthmus.model.proxy import Proxy
from isthmus.model.scope import View
from isthmus.model.service import Service
from isthmus.model.service_traffic import NODE_LABEL, setting_for
from isthmus.translate.upstream_policy import Policy, detects_outliers

Labels = tuple[tuple[str, str], ...]
Setting = LocalityLbSetting | ZoneAwareLbSetting | None
"""What is said of places; None: nothing."""

_TOPOLOGY = {
    "topology.kubernetes.io/region": 0,
    "topology.kubernetes.io/zone": 1,
    "topology.istio.io/subzone": 2,
}
"""Labels that say a part of the locality."""
_NETWORK, _CLUSTER = "topology.istio.io/network", "topology.istio.io/cluster"
_SAME_REGION = 2
"""How far endpoints of a region are from each other at the most."""
_RANKS = 5
"""How many ranks localities have among those that match alike otherwise."""


class Standpoint(NamedTuple):
    """From where endpoints are seen: what of a proxy decides over their places."""

    locality: Locality
    network: NetworkId
    cluster: ClusterId
    labels: Labels = ()
    node: str = ""
    sees: tuple[NetworkId, ...] = ()  # the only networks whose endpoints it is told of; empty: all
    families: Families = BOTH  # versions of IP that the proxy has addresses of

    def label(self, name: str) -> str:
        """The proxy's value of a label; empty where it has none."""
        if name == NODE_LABEL:
            return self.node
        return _value(name, self.locality, self.network, self.cluster, self.labels)


def standpoint(view: View, proxy: Proxy) -> Standpoint:
    """Where a proxy of the view stands; its node only where somebody asks for that."""
    node = proxy.node if view.asks_node else ""
    return Standpoint(
        proxy.locality, proxy.network, view.cluster, view.labels, node, proxy.network_view, proxy.families
    )


class Spot(NamedTuple):
    """What of an endpoint decides over its place: endpoints of one spot are placed together."""

    locality: Locality
    labels: tuple[str, ...] = ()  # values of the labels that are asked for, in that order


@dataclass(frozen=True, slots=True)
class Placement:
    """The places of a service's endpoints as seen from `here`.

    `settings` None: all endpoints are alike.
    """

    settings: Setting
    fails_over: bool
    here: Locality
    values: tuple[str, ...] = ()  # of the proxy, for the labels that are asked for

    def rank(self, spot: Spot) -> int:
        """Which are tried first: 0, then 1, …

        Where the rule says shares, what gets none comes after what gets some: it takes over when all of
        that is gone, so that `distribute` fails over too.
        """
        if not self.shares:
            return self._distance(spot)
        return (
            0 if any(_covers(pattern, spot.locality) for pattern in self.shares) else 1 + self._distance(spot)
        )

    def weights(self, found: Mapping[Locality, int]) -> Mapping[Locality, int]:
        """The weight of each locality, by the number of endpoints (their own weights) that it has."""
        weights, left = dict(found), set(found)
        for pattern in sorted(self.shares, key=lambda each: (-len(each), each)):
            covered = {locality for locality in left if _covers(pattern, locality)}
            total = sum(found[locality] for locality in covered)
            for locality in covered:
                weights[locality] = ceil(found[locality] * self.shares[pattern] / total)
            left -= covered
        return weights

    @property
    def shares(self) -> Mapping[str, int]:
        """Percent by pattern, as the first rule says that covers where we are."""
        for rule in self.settings.distribute if isinstance(self.settings, LocalityLbSetting) else ():
            if _covers(rule.from_, self.here):
                return {pattern: percent for pattern, percent in rule.to.items() if percent > 0}
        return {}

    def _distance(self, spot: Spot) -> int:
        if not self.fails_over:
            return 0
        asked = self.settings.failover_priority if self.settings else ()
        regions = {rule.from_: rule.to for rule in self.settings.failover} if self.settings else {}
        far = _far(self.here, spot.locality, regions.get(self.here.region))
        if isinstance(self.settings, ZoneAwareLbSetting):
            far = max(0, far - _SAME_REGION)  # zones share, regions take over
        elif asked and not regions:
            far = 0
        matching = _leading_matches(self.values, spot.labels)
        return (len(asked) - matching) * _RANKS + far


def setting_of(policy: Policy, service: Service, mesh: MeshSettings) -> Setting:
    """What holds: the word of its DestinationRule, else of the Service itself, else of the mesh."""
    own = policy.load_balancer or LoadBalancerSettings()
    of_service = setting_for(service.distribution) if service.distribution else None
    in_order: tuple[Setting, ...] = (
        *(own.zone_aware_lb_setting, own.locality_lb_setting, of_service),
        *(mesh.zone_aware_lb_setting, mesh.locality_lb_setting),
    )
    return next((each for each in in_order if each is not None and not _is_off(each)), None)


def _is_off(setting: LocalityLbSetting | ZoneAwareLbSetting) -> bool:
    """Whether zone aware routing is turned off there, so that the next word counts."""
    return isinstance(setting, ZoneAwareLbSetting) and setting.enabled is False


def placement(policy: Policy, settings: Setting, crosses: bool, here: Standpoint) -> Placement:
    """How the endpoints of an upstream with this policy are placed. `crosses`: some are in other clusters."""
    if settings is not None and settings.enabled is False:
        return Placement(None, fails_over=False, here=here.locality)
    asked = _asked(settings)
    values = tuple(wanted if named else here.label(name) for name, named, wanted in asked)
    fails_over = isinstance(settings, ZoneAwareLbSetting) or detects_outliers(policy, crosses)
    return Placement(settings, fails_over, here.locality, values)


def labels_asked(settings: Setting) -> tuple[str, ...]:
    """The labels by which endpoints are told apart."""
    return tuple(name for name, _, _ in _asked(settings))


def spot_of(endpoint: Endpoint, asked: Iterable[str]) -> Spot:
    """What decides over the endpoint's place, where these labels are asked for."""
    there = Standpoint(endpoint.locality, endpoint.network, endpoint.cluster, endpoint.labels, endpoint.node)
    return Spot(endpoint.locality, tuple(there.label(name) for name in asked))


def apply_setting(upstream: Cluster, settings: Setting) -> None:
    """Let Envoy weigh localities, or share by zones. Source: Envoy's "Zone aware routing": not by hashes."""
    match settings:
        case LocalityLbSetting(distribute=shares) if shares and settings.enabled is not False:
            upstream.common_lb_config.locality_weighted_lb_config.SetInParent()
        case ZoneAwareLbSetting(min_cluster_size=least) if upstream.lb_policy in _BY_ZONES:
            config = upstream.common_lb_config.zone_aware_lb_config
            config.SetInParent()
            if least is not None:
                config.min_cluster_size.value = least


_BY_ZONES = frozenset({Cluster.ROUND_ROBIN, Cluster.LEAST_REQUEST, Cluster.RANDOM})


def _asked(settings: Setting) -> Iterator[tuple[str, str, str]]:
    """`label` or `label=value`, where the value stands for the proxy's own, in parts."""
    for each in settings.failover_priority if settings else ():
        yield each.partition("=")


def _value(name: str, locality: Locality, network: str, cluster: str, labels: Labels) -> str:
    if name in _TOPOLOGY:
        return locality[_TOPOLOGY[name]]
    if name in {_NETWORK, _CLUSTER}:
        return network if name == _NETWORK else cluster
    return dict(labels).get(name, "")


def _leading_matches(mine: tuple[str, ...], theirs: tuple[str, ...]) -> int:
    count = 0
    for wanted, found in zip(mine, theirs, strict=True):
        if wanted != found:
            break
        count += 1
    return count


def _far(here: Locality, there: Locality, takes_over: str | None) -> int:
    """How far `there` is; a region that is not the one to take over is farthest."""
    far = distance(here, there)
    return 4 if far == 3 and takes_over and there.region != takes_over else far


def _covers(pattern: str, locality: Locality) -> bool:
    """Whether `region/zone/subzone`, which may be shorter or end in `*`, means the locality."""
    for wanted, found in zip(pattern.split("/"), locality, strict=False):
        if wanted == "*":
            return True
        if wanted != found:
            return False
    return True
