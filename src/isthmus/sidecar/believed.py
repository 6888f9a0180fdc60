"""By which roots Envoy believes a peer: the mesh's own, and those of other trust domains, each for its own domain only.

Own roots come from the cluster or a Workload API (`certs`), others from these and from Pilot, which can let in further
domains, and can take none of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.kit import x509
from isthmus.kit.watchable import Watchable
from isthmus.model import trust_bundles
from isthmus.model.identity import SpiffeId
from isthmus.model.trust_bundles import Trusted
from isthmus.sidecar.certs import Held
from isthmus.sidecar.secret_messages import federated_trust, trust


class Believed:
    """What Pilot has told of other trust domains, last."""

    def __init__(self) -> None:
        self.told: Watchable[Trusted] = Watchable(Trusted())

    def take(self, bodies: Mapping[str, bytes]) -> None:
        """Believe so from now on. Raises `ValueError`."""
        self.told.set(trust_bundles.decode(bodies[trust_bundles.NAME]))

    def secret(self, name: str, held: Held) -> bytes:
        """The Secret with the roots of all domains, beside a certificate and its own roots."""
        told = self.told.value
        further: dict[str, bytes] = dict(held.federated)
        for each in told.bundles:
            further[each.trust_domain] = further.get(each.trust_domain, b"") + each.roots.encode()
        if not further:
            # Any root will do for any name, and names are checked by who asks: as it always was.
            return trust(name, held.roots)
        own = dict.fromkeys((*told.own, _domain_of(held)))
        of_all = held.roots + b"".join(further.get(domain, b"") for domain in told.own[:1])
        domains = {
            domain: of_all + (further.get(domain, b"") if domain not in told.own[:1] else b"")
            for domain in own
        }
        domains |= {domain: roots for domain, roots in sorted(further.items()) if domain not in domains}
        return federated_trust(name, domains.items())


def _domain_of(held: Held) -> str:
    """The trust domain of the certificate: its own roots vouch for it, whatever else is told."""
    return SpiffeId.parse(x509.names(x509.load_certificate(held.chain)).uris[0]).trust_domain
