"""EDS by name: which endpoints a proxy is told of for an upstream, and how far each locality is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

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

Shards = Mapping[ServiceKey, Mapping[ClusterId, EndpointShard]]

_NONE: Mapping[ClusterId, EndpointShard] = {}
MANY = 64
"""From so many names on it is a proxy's first question, not one of a change."""
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
        self.memos = (self._parts.endpoints, self._parts.places, self._whole, self._targets, self._differing)

    def of(
        self,
        view: View,
        shards: Shards,
        names: frozenset[str],
        proxy: Proxy,
        existing: Callable[[], frozenset[str]],
    ) -> Sequence[Versioned]:
        """Those of the load assignments `names` that exist; `existing` tells all that do.

        For many names the last answer is kept, and only what differs since then is made again. `names`
        is known again by its identity. Of many that stand for nothing, nothing is remembered.
        """
        if len(names) < MANY:
            found = (self.named(view, shards, name, proxy) for name in names)
            return [each for each in found if each]
        key = (id(view), id(names), proxy.locality)
        sheet = self._sheets.get(key)
        if sheet is None:
            targets = (self._target(view, name) for name in names & existing())
            sheet = self._sheets[key] = _Sheet((view, names), tuple(each for each in targets if each))
            if len(self._sheets) > _SHEETS:
                self._sheets.popitem(last=False)
        if sheet.shards is not shards:
            self._bring_up_to_date(sheet, shards, proxy.locality)
        self._sheets.move_to_end(key)
        return sheet.made

    def _bring_up_to_date(self, sheet: _Sheet, shards: Shards, locality: Locality) -> None:
        before = sheet.shards
        if before is None:
            sheet.made = tuple(self._of_target(each, shards, locality) for each in sheet.targets)
        else:
            differing = self._differing.get((before, shards), "", lambda: _differing(before, shards))
            sheet.made = tuple(
                self._of_target(target, shards, locality) if target.here.service.key in differing else made
                for target, made in zip(sheet.targets, sheet.made, strict=True)
            )
        sheet.shards = shards

    def named(
        self,
        view: View,
        shards: Shards,
        name: str,
        proxy: Proxy,
    ) -> Versioned | None:
        """The load assignment `name`; None where it names no port of a service that we tell endpoints of."""
        target = self._target(view, name)
        return None if target is None else self._of_target(target, shards, proxy.locality)

    def _target(self, view: View, name: str) -> _Target | None:
        return self._targets.get((view,), name, lambda: _target(view, name))

    def _of_target(self, target: _Target, shards: Shards, locality: Locality) -> Versioned:
        of_service = shards.get(target.here.service.key, _NONE)
        inputs = (of_service, target.here.service, target.here.rule)
        scope = (target.name, target.here.crosses, locality)
        return self._whole.get(inputs, scope, lambda: self._make(target, of_service, locality))

    def _make(
        self, target: _Target, shards: Mapping[ClusterId, EndpointShard], locality: Locality
    ) -> Versioned:
        here, name = target.here, str(target.name)
        subset = here.subset(target.name.subset)
        labels = tuple(sorted(subset.labels.items())) if subset else ()
        policy = policy_for(here.rule, subset, target.port.number)
        rank = _rank(policy, locality) if fails_over(policy, here.crosses) else _all_alike
        return Versioned.of(name, self._parts.body(name, shards, Selection(target.port.name, labels), rank))


class _Sheet:
    """The assignments of many names, and the shards that they were made from."""

    __slots__ = ("alive", "made", "shards", "targets")

    def __init__(self, alive: tuple[object, ...], targets: tuple[_Target, ...]) -> None:
        self.alive = alive  # what the sheet is found by
        self.targets = targets
        self.shards: Shards | None = None
        self.made: tuple[Versioned, ...] = ()


def _differing(before: Shards, now: Shards) -> frozenset[ServiceKey]:
    """The services whose endpoints are not those of before."""
    gone = before.keys() - now.keys()
    return frozenset(key for key, found in now.items() if before.get(key) is not found) | gone


class _Target(NamedTuple):
    """What the name of an assignment stands for in a view."""

    name: UpstreamName
    here: Known
    port: Port


def _target(view: View, name: str) -> _Target | None:
    parts = UpstreamName.parse(name)
    if parts is None or parts.direction is not Direction.OUTBOUND or "|" not in name:
        return None
    service = view.service(parts.hostname, "")
    if service is None or service.resolution is not Resolution.ENDPOINTS:
        return None
    here, port = known(view, service), service.port(parts.port)
    if port is None or (parts.subset and here.subset(parts.subset) is None):
        return None
    return _Target(parts, here, port)


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
