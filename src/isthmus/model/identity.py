"""Who a workload is."""

from __future__ import annotations

from typing import NamedTuple


class SpiffeId(NamedTuple):
    """`spiffe://<trust domain>/ns/<namespace>/sa/<service account>`: the same in every cluster."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    @classmethod
    def parse(cls, uri: str) -> SpiffeId:
        """The identity in `uri`. Raises `ValueError` where it has another form."""
        scheme, _, rest = uri.partition("://")
        parts = rest.split("/")
        if scheme != "spiffe" or len(parts) != 5 or parts[1] != "ns" or parts[3] != "sa" or not all(parts):
            raise ValueError(
                f"not a workload identity: {uri!r} (hint: spiffe://domain/ns/namespace/sa/account)"
            )
        return cls(parts[0], parts[2], parts[4])


def cluster_name(cluster: str, trust_domain: str) -> str:
    """The DNS name in a certificate that tells by which cluster's word it was issued."""
    return f"{cluster}.clusters.{trust_domain}"
