"""Where a workload's certificate comes from, as all that uses it sees it: Citadel, or a Workload API."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from isthmus.kit.clock import Clock
from isthmus.kit.scopes import agent as log
from isthmus.kit.watchable import Watchable
from isthmus.model.holdings import Holding
from isthmus.sidecar.certs import Certificates, CertSettings, Held
from isthmus.sidecar.workload_api import Svids, SvidSettings

SOCKET = Path("/var/run/secrets/workload-spiffe-uds/socket")
"""Where Istio looks for the Workload API that a pod has mounted."""


class CertificateSource(Protocol):
    """Keeps one certificate fresh."""

    received: int
    failed: int

    @property
    def held(self) -> Watchable[Held | None]:
        """The newest, or None while there is none."""
        ...

    @property
    def is_valid(self) -> bool:
        """Whether there is a certificate that has not ended."""
        ...

    @property
    def left_s(self) -> float:
        """Seconds until the certificate ends, negative after; 0 where there is none."""
        ...

    def holding(self) -> Holding:
        """What is held, and how it stands with the next."""
        ...

    async def first(self) -> Held:
        """The certificate; waits for the first one."""
        ...

    async def run(self) -> None:
        """Get certificates until cancelled."""
        ...


def certificate_source(settings: CertSettings, clock: Clock) -> CertificateSource:
    """A Workload API where the workload is told one, or has one mounted; else Citadel."""
    socket = settings.workload_api or (f"unix:{SOCKET}" if SOCKET.exists() else "")
    if not socket:
        return Certificates(settings, clock=clock)
    log.info("certificates come from a workload API", socket=socket)
    return Svids(SvidSettings(identity=settings.identity, socket=socket), clock)
