"""Who a workload is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_CLUSTER = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,127}[A-Za-z0-9])?")
_CLUSTERS = ".clusters."
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9._-]{0,252}[a-z0-9])?")


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


def is_trust_domain(name: str) -> bool:
    """Whether it can be one. Source: SPIFFE-ID, section 2.1."""
    return _DOMAIN.fullmatch(name) is not None


def is_cluster(name: str) -> bool:
    """Whether certificates can tell a cluster of this name: letters, digits, `-`, `_` and `.`."""
    return _CLUSTER.fullmatch(name) is not None


def cluster_name(cluster: str, trust_domain: str) -> str:
    """The DNS name in a certificate that tells by which cluster's word it was issued."""
    return f"{cluster}{_CLUSTERS}{trust_domain}"


def clusters_named(dns_names: Iterable[str], trust_domains: Iterable[str]) -> frozenset[str]:
    """The clusters of `cluster_name` among the DNS names of a certificate, in lower case: so names are compared."""
    ends = tuple(f"{_CLUSTERS}{domain}".lower() for domain in trust_domains)
    lower = [name.lower() for name in dns_names]
    return frozenset(name.removesuffix(end) for name in lower for end in ends if name.endswith(end))


def cluster_of(name: str, trust_domain: str) -> str:
    """The cluster that `name` tells by `cluster_name`; empty where it tells none."""
    ending = f"{_CLUSTERS}{trust_domain}"
    return name.removesuffix(ending) if name.endswith(ending) else ""
