"""The VirtualService and DestinationRule that hold for a host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from isthmus.api.istio.destination_rule import DestinationRule
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object
from isthmus.model.names import Hostname, ServiceKey, host_matches, resolve

MESH = "mesh"
"""The gateway that stands for all sidecars."""


class DestinationRules:
    """All DestinationRules, by the host and namespace they are written for.

    Rules of one host in one namespace count as one: subsets united, the oldest traffic policy kept.
    """

    def __init__(self, rules: Iterable[DestinationRule], domain: str) -> None:
        groups: dict[tuple[str, str], list[DestinationRule]] = defaultdict(list)
        for rule in sorted(rules, key=age):
            host = resolve(rule.spec.host, rule.metadata.namespace, domain)
            groups[rule.metadata.namespace, host].append(rule)
        self._exact: dict[tuple[str, str], DestinationRule] = {}
        self._wild: dict[str, list[tuple[str, DestinationRule]]] = defaultdict(list)
        for (namespace, name), group in groups.items():
            merged = _united(group)
            if name.startswith("*"):
                self._wild[namespace].append((name, merged))
            else:
                self._exact[namespace, name] = merged
        for found in self._wild.values():
            found.sort(key=lambda each: (-len(each[0]), each[0]))  # the most specific first

    def rule_for(self, service: ServiceKey, client_namespace: str, root: str) -> DestinationRule | None:
        """The rule for a service as called from a namespace: the client's own, the service's, the root's.

        Source: Istio's DestinationRule reference, `exportTo`: look-up order.
        """
        for namespace in dict.fromkeys((client_namespace, service.namespace, root)):
            exact = self._exact.get((namespace, service.hostname))
            if exact is not None:
                return exact
            for pattern, rule in self._wild.get(namespace, ()):
                if host_matches(pattern, service.hostname):
                    return rule
        return None


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
) -> Mapping[Hostname, VirtualService]:
    """The VirtualService that holds for each host in sidecars: where several claim one, the oldest."""
    by_host: dict[Hostname, VirtualService] = {}
    for each in sorted(found, key=age):
        if MESH in (each.spec.gateways or (MESH,)):
            for host in each.spec.hosts:
                by_host.setdefault(resolve(host, each.metadata.namespace, domain), each)
    return by_host


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


def age(found: Object) -> tuple[str, str, str]:
    """Sorts objects by when they were made, then by namespace and name."""
    meta = found.metadata
    return meta.creation_timestamp or "", meta.namespace, meta.name
