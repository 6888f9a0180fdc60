"""What is known of one cluster: its objects, and who refers to whom among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from typing import TypeVar

from isthmus.api.core.endpoint_slice import EndpointSlice
from isthmus.api.core.namespace import Namespace
from isthmus.api.core.node import Node
from isthmus.api.core.pod import Pod
from isthmus.api.core.service import Service
from isthmus.api.resource import Object, Ref
from isthmus.model.names import FLAT, ClusterId, NetworkId
from isthmus.model.network_gateways import network_of_gateway
from isthmus.model.network_ranges import NetworkRanges
from isthmus.model.shards import network_of

K = TypeVar("K")
V = TypeVar("V")

_FINISHED = frozenset({"Succeeded", "Failed"})

Name = tuple[str, str]
"""Namespace and name."""


class Facts:
    """The objects of one cluster, with the look-ups that the next mesh needs."""

    def __init__(self, root_namespace: str) -> None:
        self._root_namespace = root_namespace
        self.objects: dict[Ref, Object] = {}
        self._slices: dict[Name, set[Ref]] = defaultdict(set)  # by service
        self._services_of_pod: dict[Name, set[Name]] = defaultdict(set)
        self._pods_on_node: dict[str, set[Name]] = defaultdict(set)
        self._slices_on_node: dict[str, set[Ref]] = defaultdict(set)
        self._pods_at: dict[str, set[Name]] = defaultdict(set)  # by address; an old pod may linger on one
        self._pods_in: dict[str, set[Name]] = defaultdict(set)  # by namespace
        self._services_in: dict[str, set[Name]] = defaultdict(set)  # by namespace
        self._nodes: set[Ref] = set()
        self.gateways: set[Name] = set()  # Services that let into a network
        self.ranges = NetworkRanges()  # of the whole mesh

    def put(self, ref: Ref, value: Object | None) -> Object | None:
        """Take `value` for `ref` (None: gone); returns what was there before."""
        before = self.objects.pop(ref, None)
        self._forget(before)
        if value is not None:
            self.objects[ref] = value
            self._remember(ref, value)
        return before

    @property
    def has_services(self) -> bool:
        """Whether there is any Service, as there is in every cluster in which pods can call each other."""
        return bool(self._services_in)

    def service(self, name: Name) -> Service | None:
        found = self.objects.get(Ref("Service", *name))
        return found if isinstance(found, Service) else None

    def pod(self, namespace: str, name: str) -> Pod | None:
        found = self.objects.get(Ref("Pod", namespace, name))
        return found if isinstance(found, Pod) else None

    def pod_at(self, address: str) -> Pod | None:
        """The pod at an address; where several claim it, the one that was made last."""
        pods = [pod for name in self._pods_at.get(address, ()) if (pod := self.pod(*name)) is not None]
        return max(
            pods, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.uid), default=None
        )

    def addresses_beside(self, address: str) -> tuple[str, ...]:
        """All addresses of the pod at an address; that one alone where there is no pod."""
        pod = self.pod_at(address)
        return pod.status.addresses if pod is not None else (address,)

    def node(self, name: str) -> Node | None:
        found = self.objects.get(Ref("Node", "", name))
        return found if isinstance(found, Node) else None

    def is_root(self, namespace: Namespace) -> bool:
        """Whether this is the namespace whose label names the cluster's network."""
        return namespace.metadata.name == self._root_namespace

    def network(self) -> NetworkId:
        """The network of the cluster, by that label; empty: the flat one."""
        found = self.objects.get(Ref("Namespace", "", self._root_namespace))
        return network_of(found) if found is not None else FLAT

    def network_at(self, cluster: ClusterId, address: str) -> NetworkId:
        """The network of an endpoint that does not say its own: its cluster's, else what MeshNetworks says."""
        return self.network() or self.ranges.network(cluster, address)

    def nodes(self) -> Iterator[Node]:
        """All nodes, by name."""
        found = (self.objects[ref] for ref in sorted(self._nodes))
        return (node for node in found if isinstance(node, Node))

    def slices(self, service: Name) -> Iterator[EndpointSlice]:
        """The service's slices, by name."""
        for ref in sorted(self._slices.get(service, ())):
            found = self.objects[ref]
            if isinstance(found, EndpointSlice):
                yield found

    def services_of_pod(self, pod: Name) -> frozenset[Name]:
        """The services that have the pod among their endpoints."""
        return frozenset(self._services_of_pod.get(pod, ()))

    def pods_in(self, namespace: str) -> Iterator[Pod]:
        """The pods of a namespace that have not finished, by name."""
        found = (self.pod(*name) for name in sorted(self._pods_in.get(namespace, ())))
        return (pod for pod in found if pod is not None and pod.status.phase not in _FINISHED)

    def every_pod(self, namespaces: Container[str] | None) -> Iterator[Pod]:
        """The pods of these namespaces, in any order; None: of all."""
        for namespace, names in self._pods_in.items():
            if namespaces is None or namespace in namespaces:
                yield from (pod for name in names if (pod := self.pod(*name)) is not None)

    def services_in(self, namespace: str) -> Iterator[Service]:
        """The Services of a namespace, by name."""
        found = (self.service(name) for name in sorted(self._services_in.get(namespace, ())))
        return (service for service in found if service is not None)

    def pods_on_node(self, node: str) -> frozenset[Name]:
        return frozenset(self._pods_on_node.get(node, ()))

    def services_on_node(self, node: str) -> frozenset[Name]:
        """The services with endpoints there, be they pods or not."""
        slices = (self.objects[ref] for ref in self._slices_on_node.get(node, ()))
        return frozenset(
            (each.metadata.namespace, each.service_name) for each in slices if isinstance(each, EndpointSlice)
        )

    def _remember(self, ref: Ref, value: Object) -> None:
        match value:
            case EndpointSlice():
                service = (ref.namespace, value.service_name)
                self._slices[service].add(ref)
                for pod in _pods_of(value):
                    self._services_of_pod[pod].add(service)
                for node in _nodes_of(value):
                    self._slices_on_node[node].add(ref)
            case Pod():
                self._pods_on_node[value.spec.node_name].add((ref.namespace, ref.name))
                # The address of a pod that has finished may be another's by now.
                lives = value.status.phase not in _FINISHED
                self._pods_in[ref.namespace].add((ref.namespace, ref.name))
                # An address of a node is that of many pods; but its ports are there for one proxy only.
                own = not value.spec.host_network or value.spec.has_proxy
                for address in value.status.addresses if lives and own else ():
                    self._pods_at[address].add((ref.namespace, ref.name))
            case Service():
                self._services_in[ref.namespace].add((ref.namespace, ref.name))
                if network_of_gateway(value):
                    self.gateways.add((ref.namespace, ref.name))
            case Node():
                self._nodes.add(ref)

    def _forget(self, value: Object | None) -> None:
        match value:
            case EndpointSlice():
                meta = value.metadata
                service = (meta.namespace, value.service_name)
                ref = Ref("EndpointSlice", meta.namespace, meta.name)
                _discard(self._slices, service, ref)
                for node in _nodes_of(value):
                    _discard(self._slices_on_node, node, ref)
                kept = {pod for each in self.slices(service) for pod in _pods_of(each)}
                for pod in set(_pods_of(value)) - kept:
                    _discard(self._services_of_pod, pod, service)
            case Pod():
                name = (value.metadata.namespace, value.metadata.name)
                _discard(self._pods_on_node, value.spec.node_name, name)
                for address in value.status.addresses:
                    _discard(self._pods_at, address, name)
                _discard(self._pods_in, value.metadata.namespace, name)
            case Service():
                meta = value.metadata
                _discard(self._services_in, meta.namespace, (meta.namespace, meta.name))
                self.gateways.discard((meta.namespace, meta.name))
            case Node():
                self._nodes.discard(Ref("Node", "", value.metadata.name))


def _discard(index: dict[K, set[V]], key: K, value: V) -> None:
    values = index.get(key, set())
    values.discard(value)
    if not values:
        index.pop(key, None)


def _nodes_of(slice_: EndpointSlice) -> set[str]:
    return {endpoint.node_name for endpoint in slice_.endpoints or () if endpoint.node_name}


def _pods_of(slice_: EndpointSlice) -> Iterator[Name]:
    for endpoint in slice_.endpoints or ():
        target = endpoint.target_ref
        if target is not None and target.kind == "Pod":
            yield (target.namespace or slice_.metadata.namespace, target.name)
