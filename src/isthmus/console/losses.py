"""What is away in a question of `isthmus explain`: a cluster, or the way between two of them or of their networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from isthmus.console.calls import WrongCall
from isthmus.envoy.types import LbEndpoint
from isthmus.model.mesh import Mesh
from isthmus.model.names import ClusterId
from isthmus.model.workload import Workload
from isthmus.translate.trace.held import Held, address_of, cluster_of, network_of


class Loss(NamedTuple):
    """A cluster that is away (`here` empty), or two sides that do not reach each other."""

    there: str
    here: str = ""

    @classmethod
    def of(cls, text: str) -> Loss | None:
        """`CLUSTER`, or `A:B`; None where nothing is lost."""
        here, colon, there = text.partition(":")
        if not text:
            return None
        return cls(there, here) if colon else cls(here)

    def __str__(self) -> str:
        if self.here:
            return f'nothing in "{self.there}" answers callers in "{self.here}", nor the other way round'
        return f'no endpoint in cluster "{self.there}" answers'

    def check(self, mesh: Mesh, held: Held | None) -> None:
        """Raises `WrongCall` where a side is no cluster, or network, that the caller knows."""
        clusters = {cluster for cluster, _ in mesh.workloads} | set(held.clusters if held else ())
        networks = {each.network for each in mesh.workloads.values()} | mesh.networks.gateways.keys()
        told = held.networks if held else frozenset()
        known = clusters | networks | told if self.here else clusters
        for side in filter(None, (self.here, self.there)):
            if side not in known:
                kinds = "cluster or network" if self.here else "cluster"
                names = ", ".join(sorted(known - {""}))
                raise WrongCall(f'no endpoint is in a {kinds} "{side}" (hint: one of {names})')

    def hits(self, mesh: Mesh, caller: Workload) -> Callable[[LbEndpoint], bool]:
        """Whether an endpoint does not answer the proxy of `caller`."""
        if not self.here:
            return lambda endpoint: cluster_of(endpoint) == self.there
        sides = {self.here: self.there, self.there: self.here}
        away = {far for near, far in sides.items() if near in (caller.cluster, caller.network)}
        return lambda endpoint: bool(away & set(_places(mesh, endpoint)))


def _places(mesh: Mesh, endpoint: LbEndpoint) -> tuple[str, ...]:
    """The cluster that an endpoint is in, and its networks."""
    cluster = cluster_of(endpoint)
    pod = mesh.workloads.get((ClusterId(cluster), address_of(endpoint)))
    networks = network_of(endpoint).split(",")
    return (cluster, *networks, *((pod.network,) if pod is not None else ()))
