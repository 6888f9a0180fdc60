"""The VirtualService and DestinationRule that hold for a host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.load_balancer import LocalityLbSetting, ZoneAwareLbSetting
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object
from isthmus.model.names import Hostname, ServiceKey, host_matches, resolve
from isthmus.model.visibility import is_visible

H = TypeVar("H", bound=str)

Labels = tuple[tuple[str, str], ...]

MESH = "mesh"
"""The gateway that stands for all sidecars."""

RUN_IN = "internal.isthmus.io/namespace"
"""Annotation of a Gateway that was made from another object: in which namespace the pods are that run it."""


class _Group(NamedTuple):
    """What DestinationRules have in common that count as one."""

    namespace: str
    host: Hostname
    workloads: Labels
    shown_to: tuple[str, ...]


class DestinationRules:
    """All DestinationRules, by the host, namespace and workloads that they are written for.

    Rules of one host in one namespace for the same workloads and clients count as one: subsets united, the
    oldest traffic policy kept.
    """

    def __init__(self, rules: Iterable[DestinationRule], domain: str) -> None:
        groups: dict[_Group, list[DestinationRule]] = defaultdict(list)
        for rule in sorted(rules, key=age):
            host = resolve(rule.spec.host, rule.metadata.namespace, domain)
            shown_to = tuple(sorted(set(rule.spec.export_to)))
            groups[_Group(rule.metadata.namespace, host, workloads_of(rule), shown_to)].append(rule)
        self._rules: dict[tuple[str, Hostname], list[tuple[Labels, DestinationRule]]] = defaultdict(list)
        # Rules for certain workloads come before those for all; of those for the same, the oldest.
        for group in sorted(
            groups, key=lambda each: (-len(each.workloads), each.workloads, age(groups[each][0]))
        ):
            self._rules[group.namespace, group.host].append((group.workloads, _united(groups[group])))
        self.hosts = frozenset(host for _, host in self._rules)
        wild: dict[str, set[Hostname]] = defaultdict(set)
        for namespace, host in self._rules:
            if host.startswith("*"):
                wild[namespace].add(host)
        self._wild = {namespace: most_specific_first(hosts) for namespace, hosts in wild.items()}
        of_workloads = {name for each in groups for name, _ in each.workloads}
        self.labels = of_workloads.union(
            *(labels_weighed_by(rule) for each in groups.values() for rule in each)
        )

    def rule_for(
        self, service: ServiceKey, client_namespace: str, root: str, client_labels: Labels = ()
    ) -> DestinationRule | None:
        """The rule for a service as called from a namespace: the client's own, the service's, the root's.

        A rule with a workload selector holds for clients of its own namespace that have these labels, one
        with `exportTo` for clients of these namespaces.
        Source: Istio's DestinationRule reference, `exportTo` (look-up order) and `workloadSelector`.
        """
        for namespace in dict.fromkeys((client_namespace, service.namespace, root)):
            labels = client_labels if namespace == client_namespace else ()
            for host in (service.hostname, *self._wild.get(namespace, ())):
                if host_matches(host, service.hostname):
                    for workloads, rule in self._rules.get((namespace, host), ()):
                        shown = is_visible(rule.spec.export_to, namespace, client_namespace)
                        if shown and set(workloads) <= set(labels):
                            return rule
        return None


def workloads_of(rule: DestinationRule) -> Labels:
    """The labels of the clients that `rule` is for; empty: all."""
    selector = rule.spec.workload_selector
    return tuple(sorted(selector.match_labels.items())) if selector is not None else ()


def labels_weighed_by(rule: DestinationRule) -> Iterator[str]:
    """The labels of clients by which some policy of `rule` says which endpoints come first."""
    policies = [rule.spec.traffic_policy, *(subset.traffic_policy for subset in rule.spec.subsets)]
    for policy in filter(None, policies):
        parts = [policy.load_balancer, *(port.load_balancer for port in policy.port_level_settings)]
        for part in filter(None, parts):
            yield from labels_that_fail_over(part.locality_lb_setting)
            yield from labels_that_fail_over(part.zone_aware_lb_setting)


def labels_that_fail_over(settings: LocalityLbSetting | ZoneAwareLbSetting | None) -> Iterator[str]:
    """The labels of clients and endpoints that `failoverPriority` compares."""
    for each in settings.failover_priority if settings else ():
        yield each.partition("=")[0]


def _united(group: Sequence[DestinationRule]) -> DestinationRule:
    first = group[0]
    if len(group) == 1:
        return first
    subsets = {subset.name: subset for rule in reversed(group) for subset in rule.spec.subsets}
    policy = next((rule.spec.traffic_policy for rule in group if rule.spec.traffic_policy), None)
    spec = msgspec.structs.replace(
        first.spec, traffic_policy=policy, subsets=tuple(subsets[name] for name in sorted(subsets))
    )
    return msgspec.structs.replace(first, spec=spec)


def virtual_services_by_host(
    found: Iterable[VirtualService], domain: str
) -> Mapping[Hostname, tuple[VirtualService, ...]]:
    """The VirtualServices that claim each host in sidecars, the oldest first: the first that is shown counts."""
    by_host: dict[Hostname, list[VirtualService]] = defaultdict(list)
    for each in sorted(found, key=age):
        if MESH in (each.spec.gateways or (MESH,)):
            for host in each.spec.hosts:
                by_host[resolve(host, each.metadata.namespace, domain)].append(each)
    return {host: tuple(claims) for host, claims in by_host.items()}


def virtual_services_by_gateway(
    found: Iterable[VirtualService],
) -> Mapping[tuple[str, str], tuple[VirtualService, ...]]:
    """The VirtualServices bound to each Gateway, by its namespace and name, the oldest first."""
    by_gateway: dict[tuple[str, str], list[VirtualService]] = defaultdict(list)
    for each in sorted(found, key=age):
        for gateway in each.spec.gateways:
            namespace, slash, name = gateway.rpartition("/")
            if gateway != MESH:
                by_gateway[namespace if slash else each.metadata.namespace, name].append(each)
    return {gateway: tuple(each) for gateway, each in by_gateway.items()}


def labels_asked_by(rule: VirtualService) -> Iterator[str]:
    """The labels of clients that some condition of `rule` depends on."""
    spec = rule.spec
    asked = [match.source_labels for http in spec.http for match in http.match]
    asked += [match.source_labels for tls in spec.tls for match in tls.match]
    asked += [match.source_labels for tcp in spec.tcp for match in tcp.match]
    for labels in asked:
        yield from labels


def hosts_of(rule: VirtualService, domain: str) -> Iterator[Hostname]:
    """The hosts to which `rule` leads."""
    namespace = rule.metadata.namespace
    return (resolve(each.host, namespace, domain) for each in rule.spec.destinations())


def most_specific_first(patterns: Iterable[H]) -> tuple[H, ...]:
    """Wildcard hosts in the order in which they are tried: the longest first."""
    return tuple(sorted(patterns, key=lambda each: (-len(each), each)))


def age(found: Object) -> tuple[str, str, str]:
    """Sorts objects by when they were made, then by namespace and name."""
    meta = found.metadata
    return meta.creation_timestamp or "", meta.namespace, meta.name
