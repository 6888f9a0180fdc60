"""DestinationPolicies, and the versions that RouteRules speak of → DestinationRules.

A policy for certain callers becomes a rule for workloads with their labels, in their namespace: such a rule
counts alone for them, so that it repeats what holds for all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from isthmus.api.istio.destination import PortSelector
from isthmus.api.istio.destination_rule import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    DestinationRuleSpec,
    HttpSettings,
    OutlierDetection,
    PortTrafficPolicy,
    Subset,
    TcpSettings,
    TrafficPolicy,
    WorkloadSelector,
)
from isthmus.api.istio.load_balancer import LoadBalancerSettings
from isthmus.api.istio_2018.destination_policy import DestinationPolicy, SimpleCircuitBreaker
from isthmus.model.convert_2018.hosts import Host, Subsets, host_of
from isthmus.model.convert_2018.told import Told

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class Callers:
    """For whom a rule is: empty: all."""

    namespace: str = ""
    labels: Labels = ()


ALL = Callers()


@dataclass(slots=True)
class Policies:
    """What is said of each host: for whom, and of which subset."""

    subsets: Subsets
    told: Told
    homes: Mapping[Host, str]  # the namespace of what is made for each host
    tls_ports: dict[Host, list[int]] = field(default_factory=lambda: defaultdict(list))
    _found: dict[Host, dict[Callers, dict[str, TrafficPolicy]]] = field(default_factory=dict)

    def add(self, found: Iterable[DestinationPolicy]) -> None:
        """Take all policies; of two for the same the first by name counts."""
        for each in found:
            if each.spec.destination is None:
                continue
            host = host_of(each.spec.destination, each.metadata.namespace)
            subset = self.subsets.name(host, each.spec.destination.labels)
            by_callers = self._found.setdefault(host, {}).setdefault(self._callers(each), {})
            if subset in by_callers:
                message = "says what another policy says of the same service (hint: put both into one)"
                self.told.lost(each, "$.spec.destination", message)
                continue
            by_callers[subset] = _traffic_policy(each, self.told)

    def _callers(self, found: DestinationPolicy) -> Callers:
        source = found.spec.source
        if source is None:
            return ALL
        labels = dict(source.labels)
        namespace = source.namespace or found.metadata.namespace
        if source.name or source.service:
            host = host_of(source, found.metadata.namespace)
            namespace = host.namespace
            labels = {"app": host.name, **labels}
            message = f"callers are not known by service: the label app: {host.name} is taken for it"
            self.told.changed(found, "$.spec.source", message)
        return Callers(namespace, tuple(sorted(labels.items())))

    def rules(self) -> Iterator[tuple[str, str, DestinationRuleSpec]]:
        """Namespace, name and rule, for each host that something is said of."""
        secure = {host for host, ports in self.tls_ports.items() if ports}
        for host in sorted({*self._found, *self.subsets.hosts, *secure}):
            said = self._found.get(host, {})
            usual = said.get(ALL, {})
            home = self.homes.get(host, host.namespace)
            yield home, host.object_name, self._rule(host, home, usual)
            for callers in sorted(each for each in said if each != ALL):
                own = {**usual, **said[callers]}
                rule = self._rule(host, callers.namespace, own)
                selector = WorkloadSelector(match_labels=dict(callers.labels))
                name = "-".join([host.object_name, "from", *(value for _, value in callers.labels)])
                yield callers.namespace, name, msgspec.structs.replace(rule, workload_selector=selector)

    def _rule(self, host: Host, namespace: str, said: dict[str, TrafficPolicy]) -> DestinationRuleSpec:
        whole = said.get("")
        return DestinationRuleSpec(
            host=host.seen_from(namespace),
            traffic_policy=_with_tls(whole, sorted(set(self.tls_ports.get(host, ())))),
            subsets=tuple(_with_policy(each, said) for each in self.subsets.of(host)),
        )


def _with_policy(subset: Subset, said: dict[str, TrafficPolicy]) -> Subset:
    return msgspec.structs.replace(subset, traffic_policy=said.get(subset.name))


def _with_tls(policy: TrafficPolicy | None, ports: Sequence[int]) -> TrafficPolicy | None:
    """`policy` with TLS made on some ports; what a port says replaces the rest, so that it is repeated."""
    if not ports:
        return policy
    whole = policy or TrafficPolicy()
    own = tuple(
        PortTrafficPolicy(
            port=PortSelector(number=number),
            load_balancer=whole.load_balancer,
            connection_pool=whole.connection_pool,
            outlier_detection=whole.outlier_detection,
            tls=ClientTLSSettings(mode="SIMPLE"),
        )
        for number in ports
    )
    return msgspec.structs.replace(whole, port_level_settings=own)


def _traffic_policy(found: DestinationPolicy, told: Told) -> TrafficPolicy:
    spec, breaker = found.spec, found.spec.circuit_breaker
    for path, custom in (
        ("$.spec.custom", spec.custom),
        ("$.spec.circuitBreaker.custom", breaker.custom if breaker is not None else None),
        ("$.spec.loadBalancing.custom", spec.load_balancing.custom if spec.load_balancing else None),
    ):
        if custom is not None:
            told.lost(found, path, "nobody reads it (hint: leave it out)")
    simple = breaker.simple_cb if breaker is not None else None
    return TrafficPolicy(
        load_balancer=_balancer(found, told),
        connection_pool=_pool(simple) if simple is not None else None,
        outlier_detection=_detection(simple) if simple is not None else None,
    )


def _balancer(found: DestinationPolicy, told: Told) -> LoadBalancerSettings | None:
    asked = found.spec.load_balancing
    if asked is None:
        return None
    if asked.ring_hash is not None:
        message = (
            "did not say by what requests are hashed (hint: write consistentHash into the DestinationRule)"
        )
        told.lost(found, "$.spec.loadBalancing.ringHash", message)
    if not asked.name:
        return None
    return LoadBalancerSettings(simple="LEAST_REQUEST" if asked.name == "LEAST_CONN" else asked.name)


def _pool(asked: SimpleCircuitBreaker) -> ConnectionPoolSettings | None:
    tcp = TcpSettings(max_connections=asked.max_connections)
    http = HttpSettings(
        http1_max_pending_requests=asked.http_max_pending_requests,
        http2_max_requests=asked.http_max_requests,
        max_requests_per_connection=asked.http_max_requests_per_connection,
        max_retries=asked.http_max_retries,
    )
    limits_tcp, limits_http = tcp != TcpSettings(), http != HttpSettings()
    if not limits_tcp and not limits_http:
        return None
    return ConnectionPoolSettings(tcp=tcp if limits_tcp else None, http=http if limits_http else None)


def _detection(asked: SimpleCircuitBreaker) -> OutlierDetection | None:
    found = OutlierDetection(
        consecutive_5xx_errors=asked.http_consecutive_errors or None,
        interval=asked.http_detection_interval,
        base_ejection_time=asked.sleep_window,
        max_ejection_percent=asked.http_max_ejection_percent,
    )
    return None if found == OutlierDetection() else found
