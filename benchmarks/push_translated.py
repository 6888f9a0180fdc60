"""A mesh for `push.py` that goes the whole way: Kubernetes objects, mesh, translation."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.push_world import Versions

from isthmus.api.core.endpoint_slice import SERVICE_NAME, EndpointPort, EndpointSlice, SliceEndpoint
from isthmus.api.core.service import Service, ServicePort, ServiceSpec
from isthmus.api.resource import Meta, Object, Ref
from isthmus.kit.versioned import Versioned
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.endpoint import Locality
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.proxy import Proxy, ProxyKind, proxy_from_node
from isthmus.translate.generation import Generation, Translator
from isthmus.translate.types import ENDPOINTS, LISTENER, ROUTES, UPSTREAM
from isthmus.xds.node import ProxyNode

CLUSTER_ID = ClusterId("gke")


class TranslatedWorld:
    """So many Services of ten endpoints in one cluster; every proxy sees all of them."""

    def __init__(self, services: int, endpoints: int = 10) -> None:
        self._services, self._endpoints = services, endpoints
        self._builder = MeshBuilder(MeshSettings(config_cluster=CLUSTER_ID))
        self._translator = Translator()
        self._number = 0
        self._now = self.step(change for n in range(services) for change in (_service(n), self._slice(n, 0)))

    def first(self) -> Generation:
        """The mesh as proxies meet it."""
        return self._now

    def change(self) -> tuple[Generation, Versioned]:
        """One endpoint of one Service moves: from the object to a generation."""
        self._number += 1
        service = self._number % self._services
        self._now = self.step([self._slice(service, self._number)])
        name = frozenset({f"outbound|9080||{_name(service)}.{_namespace(service)}.svc.cluster.local"})
        [changed] = self._now.resources(_ANYONE, ENDPOINTS, name)
        return self._now, changed

    def subject(self, node: ProxyNode) -> Proxy:
        """The proxy that a node describes."""
        return proxy_from_node(node.id, dict(node.metadata), Locality())

    def expected(self) -> Versions:
        """What every Envoy of the fleet must hold. None of them is a workload that serves something."""
        return {t: {each.name: each for each in self._now.resources(_ANYONE, t, None)} for t in _ASKED}

    def known(self, key: ChangeKey) -> Object | None:
        """The object that is there now."""
        return self._builder.objects[key.cluster].get(key.ref)

    def step(self, changes: Iterator[Change] | list[Change]) -> Generation:
        mesh, delta = self._builder.apply(list(changes))
        return self._translator.generation(mesh, delta)

    def _slice(self, service: int, moved: int) -> Change:
        addresses = [f"10.{service >> 8}.{service & 255}.{n}" for n in range(self._endpoints)]
        if moved:
            addresses[0] = f"10.250.{moved >> 8}.{moved & 255}"
        return _change(
            EndpointSlice(
                metadata=_meta(service, {SERVICE_NAME: _name(service)}),
                endpoints=tuple(SliceEndpoint(addresses=(address,)) for address in addresses),
                ports=(EndpointPort(name="http", port=9080, protocol="TCP"),),
            ),
            "EndpointSlice",
        )


_ASKED = (UPSTREAM, ENDPOINTS, LISTENER, ROUTES)
_ANYONE = Proxy(kind=ProxyKind.SIDECAR, address="10.255.0.1", name="p", namespace="n", cluster=CLUSTER_ID)


def _name(service: int) -> str:
    return f"svc-{service}"


def _namespace(service: int) -> str:
    return f"ns-{service % 50}"


def _meta(service: int, labels: dict[str, str]) -> Meta:
    return Meta(name=_name(service), namespace=_namespace(service), labels=labels)


def _service(service: int) -> Change:
    address = f"172.{16 + (service >> 16)}.{service >> 8 & 255}.{service & 255}"
    ports = (ServicePort(port=9080, name="http", target_port=9080),)
    return _change(
        Service(
            metadata=_meta(service, {}),
            spec=ServiceSpec(ports=ports, cluster_ip=address, cluster_ips=(address,)),
        ),
        "Service",
    )


def _change(value: Object, kind: str) -> Change:
    return Change(ChangeKey(CLUSTER_ID, Ref(kind, value.metadata.namespace, value.metadata.name)), value)
