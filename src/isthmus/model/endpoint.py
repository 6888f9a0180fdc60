"""An endpoint: an address that serves a service."""

from __future__ import annotations

import re
from bisect import bisect_left
from enum import Enum
from typing import NamedTuple

import msgspec

from isthmus.model.families import Families, spoken
from isthmus.model.identity import SpiffeId
from isthmus.model.names import ClusterId, NetworkId

_NO_LABEL, _LONGEST_LABEL = re.compile("[^a-z0-9]"), 62


class Health(Enum):
    """Whether an endpoint should be given traffic."""

    HEALTHY = "healthy"
    DRAINING = "draining"  # finishes what it has
    UNHEALTHY = "unhealthy"


class Locality(NamedTuple):
    """Where something runs; parts that are not known are empty."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    def __str__(self) -> str:
        return "/".join(self).rstrip("/")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An address that serves a service, with all that translation may ask of it."""

    address: str
    also: tuple[str, ...] = ()  # its addresses of the other family
    ports: tuple[tuple[str, int], ...]  # number by name of the service's port
    cluster: ClusterId
    labels: tuple[tuple[str, str], ...] = ()  # of its pod, sorted
    identity: SpiffeId | None = None
    locality: Locality = Locality()
    network: NetworkId = NetworkId("")
    health: Health = Health.HEALTHY
    tls: bool = False  # whether a sidecar with mutual TLS stands before it
    plain_at: tuple[int, ...] = ()  # the numbers of its ports at which it takes none all the same
    workload: str = ""  # its pod's name
    namespace: str = ""
    hostname: str = ""  # its own name under that of a headless service
    node: str = ""  # on which it runs
    weight: int = 1

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those of both families, the one by which it is known first."""
        return (self.address, *self.also)

    def spoken(self, families: Families) -> Endpoint | None:
        """The endpoint as somebody with addresses of these families calls it; None where nobody of them can."""
        found = tuple(spoken(self.addresses, families))
        if found == self.addresses:
            return self
        return msgspec.structs.replace(self, address=found[0], also=found[1:]) if found else None

    @property
    def far_name(self) -> str:
        """By which it is let in from other networks under a headless service: its host name, or that of all without.

        Those of one network share theirs, which is no pod's: host names have no underscores.
        """
        return self.hostname or "_" + _NO_LABEL.sub("-", self.network.lower())[:_LONGEST_LABEL]

    def port(self, name: str) -> int | None:
        """Its number for the service port `name`; None where it does not serve that port."""
        return next((number for key, number in self.ports if key == name), None)

    @property
    def takes_mutual(self) -> bool:
        """Whether it takes mutual TLS at any of its ports."""
        return self.tls and any(number not in self.plain_at for _, number in self.ports)

    def mutual_at(self, name: str) -> bool:
        """Whether it takes mutual TLS at the service port `name`."""
        return self.tls and self.port(name) not in self.plain_at

    def is_behind_gateways(self, name: str) -> bool:
        """Whether it serves a port, and has no address but that of its network's gateways: a WorkloadEntry may."""
        return not self.address and bool(self.network) and self.port(name) is not None

    def has_labels(self, wanted: tuple[tuple[str, str], ...]) -> bool:
        return set(wanted) <= set(self.labels)


class EndpointShard(msgspec.Struct, frozen=True):
    """The endpoints of one service in one cluster, sorted by address."""

    endpoints: tuple[Endpoint, ...]

    def at(self, address: str) -> Endpoint | None:
        """The endpoint with this address."""
        index = bisect_left(self.endpoints, address, key=lambda endpoint: endpoint.address)
        found = self.endpoints[index : index + 1]
        return found[0] if found and found[0].address == address else None


class Backing(msgspec.Struct, frozen=True):
    """What clients must know of a service's endpoints as a whole; it rarely changes when they come and go.

    An identity or cluster stays while the service does: scaling to nothing and back moves no upstream.
    """

    identities: tuple[SpiffeId, ...] = ()  # sorted; whom clients may meet
    clusters: tuple[ClusterId, ...] = ()  # sorted; where endpoints are
    networks: tuple[NetworkId, ...] = ()  # sorted; in which networks
    bare: bool = False  # whether datagrams are for some endpoint that has no sidecar
