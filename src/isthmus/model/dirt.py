"""What must be made anew, gathered from changes."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.endpoint_slice import EndpointSlice
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.node import Node
from isthmus.api.core.pod import Pod
from isthmus.api.core.service import Service
from isthmus.api.istio.workload_entry import WorkloadEntry
from isthmus.api.resource import Object, Ref
from isthmus.model.entries import Entries
from isthmus.model.facts import Facts, Name
from isthmus.model.from_service_entry import labels_of
from isthmus.model.names import FLAT, ClusterId, NetworkId, ServiceKey
from isthmus.model.resolved_host import ResolvedHost
from isthmus.model.shards import network_of


class Dirt:
    """The parts of the mesh that a batch of changes may touch."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self.entries: set[ServiceKey] = set()  # services that ServiceEntries make up, or WorkloadEntries back
        self.services: set[Name] = set()
        self.shards: set[tuple[Name, ClusterId]] = set()
        self.workloads: set[tuple[ClusterId, str]] = set()  # by cluster and address
        self.config: set[Ref] = set()
        self.here: set[Ref] = set()  # of any kind, in the cluster that holds the configuration
        self.settings = False
        self.nodes = False
        self.networks = False  # what is said of networks and their gateways

    def mark(self, cluster: ClusterId, facts: Facts, before: Object | None, after: Object | None) -> None:
        """Note what the step from `before` to `after` touches; `facts` hold `after` already."""
        for value in (before, after):
            match value:
                case Service():
                    name = _name(value)
                    self.services.add(name)
                    self.shards.add((name, cluster))
                case EndpointSlice():
                    self.shards.add(((value.metadata.namespace, value.service_name), cluster))
                case Pod():
                    self._mark_pod(cluster, facts, value)
                case ResolvedHost():
                    self.networks = True
                case Node():
                    self.nodes = True
                    for service in facts.services_on_node(value.metadata.name):
                        self.shards.add((service, cluster))
                    for pod_name in facts.pods_on_node(value.metadata.name):
                        pod = facts.pod(*pod_name)
                        if pod is not None:
                            self._mark_pod(cluster, facts, pod)
                case Namespace() if facts.is_root(value) and _network(before) != _network(after):
                    self.networks = True
                    self._mark_network(cluster, facts)
                case ConfigMap():
                    self.settings = True
                case WorkloadEntry():
                    self.mark_workload(facts, value)

    def mark_all(self, clusters: Mapping[ClusterId, Facts]) -> None:
        """Note that everything about endpoints and workloads may differ."""
        for cluster, facts in clusters.items():
            for value in facts.objects.values():
                self.mark(cluster, facts, None, value)
        self.entries |= self._entries.keys()

    def _mark_network(self, cluster: ClusterId, facts: Facts) -> None:
        for value in facts.objects.values():
            if isinstance(value, Pod | EndpointSlice):
                self.mark(cluster, facts, None, value)

    def mark_workload(self, facts: Facts, value: WorkloadEntry) -> None:
        """Note what a WorkloadEntry touches: Kubernetes Services select it as they select pods."""
        for service in facts.services_in(value.metadata.namespace):
            if service.spec.selector and service.spec.selector.items() <= labels_of(value).items():
                self.services.add(_name(service))

    def _mark_pod(self, cluster: ClusterId, facts: Facts, pod: Pod) -> None:
        for service in facts.services_of_pod(_name(pod)):
            self.shards.add((service, cluster))
        self.entries |= self._entries.selecting(pod.metadata, pod.metadata.labels)
        self.workloads |= {(cluster, address) for address in pod.status.addresses}


def _network(root: Object | None) -> NetworkId:
    return network_of(root) if root is not None else FLAT


def _name(value: Object) -> Name:
    return value.metadata.namespace, value.metadata.name
