"""A Citadel on loopback, real but for the API server, and workloads with certificates of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.tokens import FakeReviewer
from isthmus.ca.authority import Lifetimes
from isthmus.ca.citadel import Citadel, CitadelSettings, load_authority, own_voucher
from isthmus.ca.founding import Founding, found
from isthmus.ca.rates import Limits, Rate
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.model.identity import SpiffeId
from isthmus.sidecar.certs import CertSettings

FAST = Limits(identity=Rate(1000, 1000), address=Rate(1000, 1000))


class LoopbackCitadel:
    """CA files in `directory`; tokens are `token-of-<account>` of namespace default.

    With a port for renewals, `renewal` is where a certificate proves who asks.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        port: int = 0,
        limits: Limits = FAST,
        renewal_port: int | None = None,
        trust_domain: str = "cluster.local",
    ) -> None:
        self.directory = directory
        if not (directory / "ca-cert.pem").exists():
            found(directory, Founding(), clock.now())
        self.settings = CitadelSettings(
            cluster="gke",
            trust_domain=trust_domain,
            ca_directory=directory,
            host="127.0.0.1",
            port=port,
            renewal_port=renewal_port,
            monitoring_port=0,
            extra_names=("localhost",),
            lifetimes=Lifetimes(least_s=1),
            limits=limits,
            reload_s=0.05,
        )
        self.authority = Watchable(load_authority(self.settings, clock))
        self.reviewer = FakeReviewer({})
        self.citadel = Citadel(
            self.settings, self.authority, own_voucher(self.settings, self.reviewer), clock
        )
        self.address = self.renewal = ""
        self.renew_at = 0.5

    def workload(self, account: str, place: Path, lifetime_s: float) -> CertSettings:
        """Settings for the certificate of `default:<account>`, with its token and root in `place`."""
        place.mkdir(parents=True, exist_ok=True)
        (place / "token").write_text(f"token-of-{account}")
        (place / "root.pem").write_bytes((self.directory / "root-cert.pem").read_bytes())
        self.reviewer.accounts[f"token-of-{account}"] = f"default:{account}"
        return CertSettings(
            identity=SpiffeId(self.settings.trust_domain, "default", account),
            citadel=self.address,
            citadel_name="localhost",
            renewal=self.renewal,
            renewal_name="localhost",
            cluster="gke",
            token_file=place / "token",
            roots_file=place / "root.pem",
            lifetime_s=lifetime_s,
            renew_at=self.renew_at,
            roots_check_s=0.05,
            first_wait_s=0.02,
            longest_wait_s=0.1,
        )


@asynccontextmanager
async def loopback_citadel(
    directory: Path,
    port: int = 0,
    renewal_port: int | None = None,
    trust_domain: str = "cluster.local",
) -> AsyncIterator[LoopbackCitadel]:
    """A Citadel that runs beside the block."""
    clock = SystemClock()
    found = LoopbackCitadel(directory, clock, port, renewal_port=renewal_port, trust_domain=trust_domain)
    async with supervise(found.citadel.run()):
        found.address, *rest = await found.citadel.grpc.addresses()
        found.renewal = "".join(rest)
        yield found
