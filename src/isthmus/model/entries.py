"""The ServiceEntries and WorkloadEntries of the configuration, and the services that they make up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

from isthmus.api.core.service import Service as ServiceObject
from isthmus.api.istio.service_entry import ServiceEntry
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.resource import Meta, Object, Ref
from isthmus.kit.memo import Memo
from isthmus.model.endpoint import Endpoint, EndpointShard
from isthmus.model.facts import Facts
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.from_service_entry import (
    endpoints_beside,
    endpoints_named,
    endpoints_of_pods,
    endpoints_selected,
    labels_of,
    selects,
    service_from,
)
from isthmus.model.names import Hostname, ServiceKey
from isthmus.model.rules import age
from isthmus.model.service import Resolution, Service
from isthmus.model.shards import Place

V = TypeVar("V")


class Entries:
    """Looks entries up by what a change of the mesh asks for: never by reading all of them."""

    def __init__(self) -> None:
        self._by_key: dict[ServiceKey, dict[str, ServiceEntry]] = defaultdict(dict)  # then by name
        self._selecting: dict[str, dict[str, ServiceEntry]] = defaultdict(dict)  # by namespace, name
        self._workloads: dict[str, dict[str, WorkloadEntry]] = defaultdict(dict)  # by namespace, name
        self._made: dict[ServiceKey, Memo[tuple[Endpoint, ...]]] = {}  # of thousands, one comes at a time

    def put(self, before: Object | None, after: Object | None) -> set[ServiceKey]:
        """Take the step from `before` to `after` of one object; the services that it may concern."""
        touched: set[ServiceKey] = set()
        for value, is_new in ((before, False), (after, True)):
            match value:
                case ServiceEntry():
                    touched |= self._put_entry(value, is_new=is_new)
                case WorkloadEntry():
                    held = self._workloads[value.metadata.namespace]
                    _keep(held, value.metadata.name, value if is_new else None)
                    touched |= self.selecting(value.metadata, labels_of(value))
        return touched

    def _put_entry(self, value: ServiceEntry, *, is_new: bool) -> set[ServiceKey]:
        meta, kept = value.metadata, value if is_new else None
        keys = {ServiceKey(meta.namespace, Hostname(host)) for host in value.spec.hosts}
        for key in keys:
            _keep(self._by_key[key], meta.name, kept)
            if not self._by_key[key]:
                del self._by_key[key]
        if value.spec.workload_selector is not None:
            _keep(self._selecting[meta.namespace], meta.name, kept)
        return keys

    def keys(self) -> set[ServiceKey]:
        """All services that entries make up."""
        return set(self._by_key)

    def places(self, namespaces: Container[str] | None) -> Iterator[tuple[ServiceKey, dict[str, str]]]:
        """All that is named or selected by ServiceEntries of these namespaces (None: of all): for which service, and
        its labels."""
        for key, named in self._by_key.items():
            if namespaces is None or key.namespace in namespaces:
                for entry in named.values():
                    yield from ((key, spec.labels) for spec in entry.spec.endpoints)
                yield from ((key, labels_of(each)) for each in self._held(key))

    def workloads(self, namespaces: Container[str] | None) -> Iterator[WorkloadEntry]:
        """The WorkloadEntries of these namespaces (None: of all)."""
        for namespace, held in self._workloads.items():
            if namespaces is None or namespace in namespaces:
                yield from held.values()

    def selecting(self, meta: Meta, labels: dict[str, str]) -> set[ServiceKey]:
        """The services whose entries select a workload with these labels."""
        found = self._selecting.get(meta.namespace, {}).values()
        return {
            ServiceKey(meta.namespace, Hostname(host))
            for entry in found
            if selects(entry, labels)
            for host in entry.spec.hosts
        }

    def service(self, key: ServiceKey, trust_domain: str) -> Service | None:
        """The service that entries make up; None where there are none for it."""
        found = self._of(key)
        return service_from(key, found, self._held(key), trust_domain) if found else None

    def shard(self, service: Service, beside: ServiceObject | None, trust_domain: str) -> list[Endpoint]:
        """The endpoints that no cluster has; `beside`: the Service that may select WorkloadEntries."""
        if service.resolution is not Resolution.ENDPOINTS:
            return []
        key, entries, held = service.key, self._of(service.key), self._held(service.key)
        found = [each for entry in entries for each in endpoints_named(entry, trust_domain)]
        if not held:
            self._made.pop(key, None)
            return found
        made = self._made.setdefault(key, Memo())
        made.turn()  # those who have left are forgotten
        parties = (service, beside, *entries)

        def endpoints(workload: WorkloadEntry) -> tuple[Endpoint, ...]:
            of_entries = (endpoints_selected(each, workload, trust_domain) for each in entries)
            of_service = endpoints_beside(service, beside, [workload], trust_domain) if beside else ()
            return (*chain.from_iterable(of_entries), *of_service)

        for each in held:
            found += made.get((each, *parties), trust_domain, partial(endpoints, each))
        return found

    def pods(self, service: Service, facts: Facts, place: Place) -> list[Endpoint]:
        """The pods of one cluster that entries select."""
        found = [entry for entry in self._of(service.key) if entry.spec.workload_selector is not None]
        if not found or service.resolution is not Resolution.ENDPOINTS:
            return []
        return list(endpoints_of_pods(found, facts.pods_in(service.key.namespace), place))

    def overruled(self, key: ServiceKey) -> Iterator[Finding]:
        """What is to be said of entries for a host that is a Kubernetes Service, too."""
        for entry in self._of(key):
            message = (
                f"{key.hostname} is a Kubernetes Service, whose ports and addresses count; endpoints are added "
                "(hint: give the ServiceEntry another host)"
            )
            ref = Ref("ServiceEntry", key.namespace, entry.metadata.name)
            yield Finding(
                ref=ref,
                path="$.spec.hosts",
                message=message,
                severity=Severity.INFO,
                code=Code.HOST_TAKEN,
            )

    def _of(self, key: ServiceKey) -> list[ServiceEntry]:
        found = self._by_key.get(key)
        return sorted(found.values(), key=age) if found else []

    def _held(self, key: ServiceKey) -> list[WorkloadEntry]:
        """The workloads that may be called, by name."""
        found = self._workloads.get(key.namespace, {})
        return [found[name] for name in sorted(found) if found[name].may_be_called]


def joined(endpoints: Iterable[Endpoint]) -> EndpointShard | None:
    """A shard of these endpoints, each once; None of none."""
    found = sorted(set(endpoints), key=lambda each: (each.address, each.ports, each.workload))
    return EndpointShard(tuple(found)) if found else None


def _keep(held: dict[str, V], name: str, value: V | None) -> None:
    if value is None:
        held.pop(name, None)
    else:
        held[name] = value
