"""A made-up mesh for `push.py`: so many services of ten endpoints, all seen by every proxy."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from isthmus.envoy.types import Cluster, ClusterLoadAssignment
from isthmus.kit.versioned import Versioned
from isthmus.xds.generation import Generation
from isthmus.xds.node import ProxyNode
from isthmus.xds.type_urls import CLUSTER, ENDPOINTS, LISTENER, ROUTES

LISTENERS = 50


Versions = Mapping[str, Mapping[str, Versioned]]
"""Resources by type and name."""

S = TypeVar("S", bound=Hashable)


class World(Protocol[S]):
    """What `push.py` measures: a mesh of which one endpoint changes again and again."""

    def first(self) -> Generation[S]:
        """The mesh as proxies meet it."""
        ...

    def change(self) -> tuple[Generation[S], Versioned]:
        """The next state, in which one endpoint differs, and what the proxies must come to hold for it."""
        ...

    def subject(self, node: ProxyNode) -> S:
        """Whom a node is, for the generations."""
        ...

    def expected(self) -> Versions:
        """All that a proxy must hold now, by type and name."""
        ...


@dataclass(frozen=True)
class SyntheticGeneration:
    """Everyone sees everything; resources are made before."""

    number: int
    resources_by_type: dict[str, dict[str, Versioned]]
    touched_names: dict[str, frozenset[str]] = field(default_factory=dict)

    def touched(self, _: str, type_url: str, /) -> frozenset[str] | None:
        """The names that were changed."""
        return self.touched_names.get(type_url, frozenset())

    def resources(self, _: str, type_url: str, names: frozenset[str] | None, /) -> Iterable[Versioned]:
        """Those of `names` that exist."""
        found = self.resources_by_type.get(type_url, {})
        if names is None:
            return tuple(found.values())
        return tuple(found[name] for name in names if name in found)

    def unsettled(self, _: str, _type_url: str, _names: frozenset[str], /) -> frozenset[str]:
        """Everything is known."""
        return frozenset()


class SyntheticWorld:
    """Services with upstreams and endpoints of the size that Istio gives them."""

    def __init__(self, services: int, endpoints: int = 10) -> None:
        self._services, self._endpoints = services, endpoints
        self._number = 0
        self._now = {
            CLUSTER: {name: _upstream(name) for name in map(_name, range(services))},
            ENDPOINTS: {_name(n): self._assignment(n, 0) for n in range(services)},
            LISTENER: {
                f"listener-{n}": Versioned.of(f"listener-{n}", bytes([n]) * 415) for n in range(LISTENERS)
            },
            ROUTES: {f"routes-{n}": Versioned.of(f"routes-{n}", bytes([n]) * 491) for n in range(LISTENERS)},
        }

    def first(self) -> Generation[str]:
        """The mesh as proxies meet it."""
        return SyntheticGeneration(0, self._now)

    def change(self) -> tuple[Generation[str], Versioned]:
        """One endpoint of one service moves."""
        self._number += 1
        service = self._number % self._services
        changed = self._assignment(service, self._number)
        self._now = {**self._now, ENDPOINTS: {**self._now[ENDPOINTS], changed.name: changed}}
        touched = {ENDPOINTS: frozenset({changed.name})}
        return SyntheticGeneration(self._number, self._now, touched), changed

    def subject(self, node: ProxyNode) -> str:
        """Each proxy by itself: none is known to be equal to another."""
        return node.id

    def expected(self) -> Versions:
        """All that there is."""
        return self._now

    def _assignment(self, service: int, moved: int) -> Versioned:
        assignment = ClusterLoadAssignment(cluster_name=_name(service))
        locality = assignment.endpoints.add()
        locality.locality.region, locality.locality.zone = "europe-west1", "europe-west1-b"
        for number in range(self._endpoints):
            host = f"10.{service >> 8 & 255}.{service & 255}.{number}"
            endpoint = locality.lb_endpoints.add()
            socket = endpoint.endpoint.address.socket_address
            socket.address = f"10.250.{moved >> 8 & 255}.{moved & 255}" if moved and number == 0 else host
            socket.port_value = 9080
            endpoint.load_balancing_weight.value = 1
            endpoint.metadata.filter_metadata["istio"].update(
                {"workload": f"w-{number};ns;svc-{service};v1;gke"}
            )
        return Versioned.of(_name(service), assignment.SerializeToString(deterministic=True))


def _name(service: int) -> str:
    return f"outbound|9080||svc-{service}.ns-{service % 50}.svc.cluster.local"


def _upstream(name: str) -> Versioned:
    cluster = Cluster(name=name, type=Cluster.EDS, connect_timeout={"seconds": 10})
    cluster.eds_cluster_config.eds_config.ads.SetInParent()
    cluster.eds_cluster_config.service_name = name
    cluster.metadata.filter_metadata["istio"].update(
        {"services": [{"host": name, "name": "x" * 300, "ns": "y" * 60}]}
    )
    return Versioned.of(name, cluster.SerializeToString(deterministic=True))
