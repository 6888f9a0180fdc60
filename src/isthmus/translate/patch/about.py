"""For which proxy a resource is patched, as far as matches ask."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.model.proxy import ProxyKind
from isthmus.model.workload import ServedPort

INBOUND, OUTBOUND, GATEWAY = "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY"


@dataclass(frozen=True, slots=True)
class About:
    """The proxy's kind, and what its workload serves."""

    kind: ProxyKind
    serves: tuple[ServedPort, ...] = ()

    def context(self, *, inbound: bool) -> str:
        """The side of the proxy on which something is."""
        if self.kind is ProxyKind.ROUTER:
            return GATEWAY
        return INBOUND if inbound else OUTBOUND

    def means(self, wanted: int, port: int) -> bool:
        """Whether a port that the proxy listens on is the one that is wanted, or is where a service's port leads."""
        return wanted == port or any(
            one.target_port == port and one.port.number == wanted for one in self.serves
        )
