"""EDS by name: which endpoints a proxy is told of for an upstream, and how far each locality is."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.endpoint import EndpointShard, Locality
from isthmus.model.locality import distance
from isthmus.model.names import ClusterId, ServiceKey
from isthmus.model.proxy import Proxy
from isthmus.model.scope import View
from isthmus.model.service import Port, Resolution
from isthmus.translate.destinations import Known, known
from isthmus.translate.endpoints import Assignments, Rank, Selection
from isthmus.translate.names import Direction, UpstreamName
from isthmus.translate.upstream_policy import Policy, detects_outliers, policy_for

_NONE: Mapping[ClusterId, EndpointShard] = {}


class LoadAssignments:
    """Makes load assignments for proxies; those of one cluster and locality share them."""

    def __init__(self) -> None:
        self._parts = Assignments()
        self._whole: Memo[Versioned | None] = Memo()
        self.memos = (self._parts.endpoints, self._parts.places, self._whole)

    def named(
        self,
        view: View,
        shards: Mapping[ServiceKey, Mapping[ClusterId, EndpointShard]],
        name: str,
        proxy: Proxy,
    ) -> Versioned | None:
        """The load assignment `name`; None where it names no port of a service that we tell endpoints of."""
        parts = UpstreamName.parse(name)
        if parts is None or parts.direction is not Direction.OUTBOUND or "|" not in name:
            return None
        service = view.service(parts.hostname, "")
        if service is None or service.resolution is not Resolution.ENDPOINTS:
            return None
        here, port = known(view, service), service.port(parts.port)
        if port is None:
            return None
        of_service = shards.get(service.key, _NONE)
        inputs = (of_service, here.service, here.rule)
        scope = (name, here.crosses, proxy.locality)
        return self._whole.get(
            inputs, scope, lambda: self._make(here, port, parts, of_service, proxy.locality)
        )

    def _make(
        self,
        here: Known,
        port: Port,
        parts: UpstreamName,
        shards: Mapping[ClusterId, EndpointShard],
        locality: Locality,
    ) -> Versioned | None:
        subset = here.subset(parts.subset)
        if parts.subset and subset is None:
            return None
        labels = tuple(sorted(subset.labels.items())) if subset else ()
        policy = policy_for(here.rule, subset, port.number)
        rank = _rank(policy, locality) if fails_over(policy, here.crosses) else _all_alike
        body = self._parts.body(str(parts), shards, Selection(port.name, labels), rank)
        return Versioned.of(str(parts), body)


def fails_over(policy: Policy, crosses: bool) -> bool:
    """Whether nearer localities come first. Envoy moves on only from endpoints that it puts aside."""
    setting = policy.load_balancer.locality_lb_setting if policy.load_balancer else None
    if setting is not None and setting.enabled is False:
        return False
    return detects_outliers(policy, crosses)


def _rank(policy: Policy, here: Locality) -> Rank:
    """How far each locality is from `here`; a region that is not the one to take over is farthest.

    Source: DestinationRule reference, LocalityLoadBalancerSetting.
    """
    setting = policy.load_balancer.locality_lb_setting if policy.load_balancer else None
    takes_over = {rule.from_: rule.to for rule in setting.failover} if setting else {}
    wanted = takes_over.get(here.region)

    def rank(there: Locality) -> int:
        far = distance(here, there)
        return 4 if far == 3 and wanted and there.region != wanted else far

    return rank


def _all_alike(_: Locality) -> int:
    return 0
