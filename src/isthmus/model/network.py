"""How an endpoint is reached from where a proxy is. Today's mesh is one flat network: it has no network gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from isthmus.model.endpoint import Endpoint
from isthmus.model.names import FLAT, NetworkId


class NetworkGateway(NamedTuple):
    """Where calls enter a network from outside."""

    address: str
    port: int


class Direct(NamedTuple):
    """By its own address."""


class Via(NamedTuple):
    """Through any of these, sorted; its own address means nothing here."""

    gateways: tuple[NetworkGateway, ...]


class Unreachable(NamedTuple):
    """Not at all: it must not be told of."""

    reason: str


Way = Direct | Via | Unreachable


class Networks:
    """The gateways of each network; a network without any is reached directly.

    Source of the rules: Istio's split-horizon endpoints.
    """

    def __init__(self, gateways: Mapping[NetworkId, frozenset[NetworkGateway]] | None = None) -> None:
        self._gateways = {network: tuple(sorted(each)) for network, each in (gateways or {}).items() if each}

    def reach(self, from_: NetworkId, endpoint: Endpoint) -> Way:
        """The way to `endpoint` for a proxy in network `from_`; a proxy of no known network is outside all."""
        gateways = self._gateways.get(endpoint.network)
        if endpoint.network in {FLAT, from_} or gateways is None:
            return Direct()
        if not endpoint.tls:
            # A gateway between networks finds the service by SNI alone, so that plain text has no way.
            return Unreachable(f"network {endpoint.network} is entered with mutual TLS only")
        return Via(gateways)
