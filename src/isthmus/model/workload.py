"""A workload: a pod with an identity."""

from __future__ import annotations

import msgspec

from isthmus.model.endpoint import Locality
from isthmus.model.identity import SpiffeId
from isthmus.model.names import ClusterId, NetworkId, ServiceKey
from isthmus.model.service import Port


class ServedPort(msgspec.Struct, frozen=True):
    """A port of a service that a workload serves, and the port it listens on for it."""

    service: ServiceKey
    port: Port
    target_port: int


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as the mesh sees it."""

    name: str
    namespace: str
    cluster: ClusterId
    address: str  # by which it is known
    also: tuple[str, ...] = ()  # its other addresses
    labels: tuple[tuple[str, str], ...] = ()
    identity: SpiffeId
    locality: Locality = Locality()
    network: NetworkId = NetworkId("")
    node: str = ""  # on which it runs
    serves: tuple[ServedPort, ...] = ()  # sorted by target port, then service
    binds: tuple[int, ...] = ()  # the ports its containers take datagrams at, where Envoy would; sorted
