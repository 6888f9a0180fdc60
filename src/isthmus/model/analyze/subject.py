"""What checks look at: the mesh and the objects of its clusters, with look-ups that are made once."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple, TypeVar, cast

from isthmus.api import kind_of_type
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.service import Service as ServiceObject
from isthmus.api.istio.destination import Destination
from isthmus.api.istio.gateway import GatewayConfig
from isthmus.api.istio.virtual_service import VirtualService
from isthmus.api.resource import Object, Ref
from isthmus.model.analyze.selection import Selection
from isthmus.model.codes import OF_SCHEMA, Code, Severity
from isthmus.model.findings import Finding
from isthmus.model.mesh import Mesh
from isthmus.model.names import (
    ClusterId,
    Hostname,
    ServiceKey,
    host_matches,
    kubernetes_hostname,
    resolve,
)
from isthmus.model.rules import age
from isthmus.model.same_host import one_of_each_host
from isthmus.model.service import Service
from isthmus.model.workload import Workload

T = TypeVar("T", bound=Object)

SUPPRESS = "galley.istio.io/analyze-suppress"
"""Annotation with the codes that nobody wants to hear of for an object; `*`: all."""

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces that belong to Kubernetes."""


_MOST_GUESSES, _MOST_LETTERS = 50, 2
"""How many hosts are guessed at, which costs a look at all others, and by how much longer a typo may make them."""


class Found(NamedTuple):
    """An object in a cluster."""

    cluster: ClusterId
    ref: Ref
    value: Object


class Subject:
    """A mesh, and all that is known of each of its clusters."""

    def __init__(
        self, mesh: Mesh, objects: Mapping[ClusterId, Mapping[Ref, Object]], *, is_whole: bool = True
    ) -> None:
        self.mesh = mesh
        self.objects = objects
        self.is_whole = is_whole  # or else files, beside which there may be others
        self.domain = mesh.settings.domain
        self.root = mesh.settings.root_namespace
        self._guesses = 0
        self._of: dict[type[Object], tuple[Object, ...]] = {}

    def of(self, kind: type[T]) -> tuple[T, ...]:
        """The configuration objects of a kind that count."""
        if kind not in self._of:
            self._of[kind] = self.mesh.of(kind)
        return cast(tuple[T, ...], self._of[kind])

    @property
    def everything(self) -> Iterator[Found]:
        """All objects of all clusters, by their types."""
        return (each for found in self._by_type.values() for each in found)

    def everywhere(self, kind: type[T]) -> Iterator[tuple[ClusterId, T]]:
        """The objects of a kind in all clusters, in the order of clusters, then of refs."""
        for each in self._by_type.get(kind, ()):
            yield each.cluster, cast(T, each.value)

    def service(self, host: str, namespace: str) -> Service | None:
        """The service that `host` means in an object of `namespace`; that of a wildcard where none is exact."""
        return self.service_of(resolve(host, namespace, self.domain), namespace)

    def service_called(self, host: Hostname, namespace: str) -> Service | None:
        """The service of a full host name, no other; of several that of `namespace`."""
        return self.mesh.services.get(ServiceKey(namespace, host)) or self.services_by_host.get(host)

    def service_of(self, host: Hostname, namespace: str = "") -> Service | None:
        """The service that answers to a full host name, which may be another name of it."""
        found, rest = self.service_called(host, namespace), str(host)
        if found is not None and found.alias_of:
            return self.services_by_host.get(found.alias_of)
        while found is None and rest:
            rest = rest.partition(".")[2]
            found = self.services_by_host.get(Hostname(f"*.{rest}" if rest else "*"))
        return found

    def lacks(self, host: Hostname) -> bool:
        """Whether no service answers to a full host name, not even one that is refused."""
        return self.service_of(host) is None and host not in self._refused_hosts

    @cached_property
    def _refused_hosts(self) -> frozenset[Hostname]:
        services = (each for each in self.refused if each.kind == "Service")
        return frozenset(kubernetes_hostname(each.name, each.namespace, self.domain) for each in services)

    @cached_property
    def services_by_host(self) -> Mapping[Hostname, Service]:
        """The services of the mesh by host; of several with one host that of which a stranger is told."""
        found = one_of_each_host(self.mesh.services.values(), "")
        return {service.key.hostname: service for service in found}

    def any_under(self, pattern: Hostname) -> bool:
        """Whether any service falls under a wildcard."""
        return any(host_matches(pattern, host) for host in self.services_by_host)

    def like(self, host: str) -> str | None:
        """The host of a service that was meant by one that no service has; told for so many only."""
        name, _, rest = host.partition(".")
        full = kubernetes_hostname(name, rest, self.domain)
        if full in self.services_by_host:
            return full
        self._guesses += 1
        if self._guesses > _MOST_GUESSES:
            return None
        near = self._hosts_by_initial.get(host[:1], ())
        fitting = [each for each in near if abs(len(each) - len(host)) <= _MOST_LETTERS]
        return next(iter(difflib.get_close_matches(host, fitting, 1, 0.8)), None)

    @cached_property
    def _hosts_by_initial(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for host in self.services_by_host:
            found[host[:1]].append(host)
        return found

    @cached_property
    def gateways(self) -> Mapping[tuple[str, str], GatewayConfig]:
        """The Gateways by namespace and name."""
        return {(each.metadata.namespace, each.metadata.name): each for each in self.of(GatewayConfig)}

    def finds(self, selector: Mapping[str, str], namespace: str = "") -> bool:
        """Whether a selector finds pods, of a namespace or of any.

        Files without pods that have labels of such names say nothing of them: those are elsewhere.
        """
        here = self.workloads_in.get(namespace) if namespace else self.workloads
        if here is not None and here.has(selector):
            return True
        return not self.is_whole and (here is None or not selector or not selector.keys() <= here.names)

    @cached_property
    def refused(self) -> frozenset[Ref]:
        """What is there, and is not read since it is wrong by itself: nothing more is to be said of it."""
        return frozenset(each.ref for each in self.mesh.findings if each.code in OF_SCHEMA)

    @cached_property
    def workloads(self) -> Selection[Workload]:
        """The pods of the mesh by their labels."""
        found = self.mesh.workloads
        return Selection((dict(found[where].labels), found[where]) for where in sorted(found))

    @cached_property
    def workloads_in(self) -> Mapping[str, Selection[Workload]]:
        """The same, by namespace."""
        by_namespace: dict[str, list[tuple[dict[str, str], Workload]]] = defaultdict(list)
        for where in sorted(self.mesh.workloads):
            workload = self.mesh.workloads[where]
            by_namespace[workload.namespace].append((dict(workload.labels), workload))
        return {namespace: Selection(found) for namespace, found in by_namespace.items()}

    def contested(
        self, found: Iterable[T], selected: Callable[[T], Mapping[str, str]]
    ) -> Iterator[tuple[T, T, Workload]]:
        """Those that select a workload that an older one selects by other labels: both, and the first such workload."""
        finders: dict[tuple[str, str, str], T] = {}
        told: set[tuple[int, int]] = set()
        for each in sorted(found, key=age):
            wanted, namespace = selected(each), each.metadata.namespace
            here = self.workloads_in.get(namespace)
            for workload in here.having(wanted) if here is not None and wanted else ():
                holder = finders.setdefault((workload.cluster, namespace, workload.name), each)
                pair = (id(holder), id(each))
                if selected(holder) != wanted and pair not in told:
                    told.add(pair)
                    yield each, holder, workload

    @cached_property
    def services_in(self) -> Mapping[tuple[ClusterId, str], tuple[ServiceObject, ...]]:
        """The Services of each namespace of each cluster."""
        found: dict[tuple[ClusterId, str], list[ServiceObject]] = defaultdict(list)
        for cluster, service in self.everywhere(ServiceObject):
            found[cluster, service.metadata.namespace].append(service)
        return {where: tuple(each) for where, each in found.items()}

    @cached_property
    def namespaces(self) -> Mapping[tuple[ClusterId, str], Namespace]:
        """The namespaces that are known."""
        return {(cluster, each.metadata.name): each for cluster, each in self.everywhere(Namespace)}

    def suppresses(self, finding: Finding) -> bool:
        """Whether the object itself says that it wants no such finding."""
        said = self._suppressed.get((finding.cluster, finding.ref)) or self._suppressed.get(
            (ClusterId(""), finding.ref)
        )
        return said is not None and ("*" in said or finding.code.number in said)

    @cached_property
    def _suppressed(self) -> Mapping[tuple[ClusterId, Ref], frozenset[str]]:
        found: dict[tuple[ClusterId, Ref], frozenset[str]] = {}
        counting = self.mesh.settings.config_cluster
        held = [
            Found(counting, ref, value) for each in self.mesh.config.values() for ref, value in each.items()
        ]
        for one in (*held, *(each for found in self._by_type.values() for each in found)):
            text = one.value.metadata.annotations.get(SUPPRESS)
            if text is not None:
                codes = frozenset(code.strip() for code in text.split(","))
                found[one.cluster, one.ref] = codes
                if one.cluster == counting or (ClusterId(""), one.ref) not in found:
                    found[ClusterId(""), one.ref] = codes
        return found

    @cached_property
    def _by_type(self) -> Mapping[type[Object], list[Found]]:
        found: dict[type[Object], list[Found]] = defaultdict(list)
        for cluster in sorted(self.objects):
            of_cluster = self.objects[cluster]
            for ref in sorted(of_cluster):
                value = of_cluster[ref]
                found[type(value)].append(Found(cluster, ref, value))
        return found


def finding(found: Object, path: str, message: str, code: Code, severity: Severity | None = None) -> Finding:
    """What is to be said of a configuration object; it matters as much as such things usually do."""
    return Finding(
        ref=kind_of_type(type(found)).ref(found.metadata),
        path=path,
        message=message,
        severity=severity or code.severity,
        code=code,
    )


def finding_in(cluster: ClusterId, found: Object, path: str, message: str, code: Code) -> Finding:
    """What is to be said of an object as one cluster has it."""
    ref = kind_of_type(type(found)).ref(found.metadata)
    return Finding(ref=ref, path=path, message=message, severity=code.severity, code=code, cluster=cluster)


def finding_of(
    service: Service, path: str, message: str, code: Code, severity: Severity | None = None
) -> Finding:
    """What is to be said of the object that a service is made of."""
    return Finding(ref=service.ref, path=path, message=message, severity=severity or code.severity, code=code)


def destinations_in(found: VirtualService) -> Iterator[tuple[str, Destination]]:
    """All destinations of a VirtualService by their paths: of routes, then of mirrors."""
    for number, route in enumerate(found.spec.http):
        for index, share in enumerate(route.route):
            yield f"$.spec.http[{number}].route[{index}].destination", share.destination
        if route.mirror is not None:
            yield f"$.spec.http[{number}].mirror", route.mirror
        for index, mirror in enumerate(route.mirrors):
            yield f"$.spec.http[{number}].mirrors[{index}].destination", mirror.destination
    for number, tls in enumerate(found.spec.tls):
        for index, part in enumerate(tls.route):
            yield f"$.spec.tls[{number}].route[{index}].destination", part.destination
    for number, tcp in enumerate(found.spec.tcp):
        for index, part in enumerate(tcp.route):
            yield f"$.spec.tcp[{number}].route[{index}].destination", part.destination
