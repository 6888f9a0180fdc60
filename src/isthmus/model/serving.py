"""Who serves what at which address: from endpoints back to workloads."""

from __future__ import annotations

from isthmus.model.endpoint import EndpointShard
from isthmus.model.names import ClusterId, ServiceKey

Ports = dict[str, tuple[tuple[str, int], ...]]


class Serving:
    """The services by the address, in a cluster, at which they are served."""

    def __init__(self) -> None:
        self._keys: dict[tuple[ClusterId, str], set[ServiceKey]] = {}

    def at(self, cluster: ClusterId, address: str) -> frozenset[ServiceKey]:
        """The services that have an endpoint there."""
        return frozenset(self._keys.get((cluster, address), ()))

    def moved(
        self,
        where: tuple[ServiceKey, ClusterId],
        before: EndpointShard | None,
        after: EndpointShard | None,
    ) -> frozenset[tuple[ClusterId, str]]:
        """Take the step of one shard; the addresses where it changes what is served."""
        key, cluster = where
        was, now = _ports(before), _ports(after)
        found = frozenset(
            address for address in was.keys() | now.keys() if was.get(address) != now.get(address)
        )
        for address in found:
            keys = self._keys.setdefault((cluster, address), set())
            (keys.add if address in now else keys.discard)(key)
            if not keys:
                del self._keys[cluster, address]
        return frozenset((cluster, address) for address in found)


def _ports(shard: EndpointShard | None) -> Ports:
    return {endpoint.address: endpoint.ports for endpoint in shard.endpoints} if shard else {}
