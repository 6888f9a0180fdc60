"""Which clusters' words count, and for whom: a cluster vouches for its own namespaces where the operator says so.

Its name is in the certificates that are issued by its word: ADR 0026.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

ALL = "*"


class ReviewUnavailable(Exception):
    """The API server did not answer, so nothing is known of the token."""


class Review(NamedTuple):
    """What the API server says of a token: `user` is empty where it is not authentic."""

    user: str = ""
    audiences: tuple[str, ...] = ()
    error: str = ""
    pod: str = ""
    """The name of the pod to which the token is bound."""


class Reviewer(Protocol):
    """The API server of the caller's own cluster."""

    async def review(self, token: str, audience: str) -> Review:
        """What it says of `token`. Raises `ReviewUnavailable`."""
        ...


class Voucher(NamedTuple):
    """A cluster that says whose a token is, and the namespaces for which it is believed (`*`: all)."""

    cluster: str
    reviewer: Reviewer
    namespaces: frozenset[str] = frozenset({ALL})

    def covers(self, namespace: str) -> bool:
        """Whether the cluster's word counts for workloads of `namespace`."""
        return ALL in self.namespaces or namespace in self.namespaces


class Vouchers:
    """Citadel's own cluster, and others that may come and go."""

    def __init__(self, own: Voucher) -> None:
        self.own = own
        self.others: Mapping[str, Voucher] = {}

    def named(self, cluster: str) -> Voucher:
        """Who is asked of the tokens of a caller that says it is in `cluster`: for an unknown one, our own."""
        return self.others.get(cluster, self.own)


Vouched = Mapping[str, frozenset[str]]
"""The namespaces for which a cluster is believed, by cluster."""


def parse_vouched(texts: tuple[str, ...]) -> Vouched:
    """The choices in `texts`, each `CLUSTER=NAMESPACE,…` or `CLUSTER=*`. Raises `ValueError`."""
    vouched: dict[str, frozenset[str]] = {}
    for text in texts:
        cluster, sign, rest = text.partition("=")
        namespaces = frozenset(part.strip() for part in rest.split(",") if part.strip())
        if not cluster or not sign or not namespaces:
            raise ValueError(
                f"not a cluster and its namespaces: {text!r} (hint: onprem=default,shop or onprem=*)"
            )
        vouched[cluster] = vouched.get(cluster, frozenset()) | namespaces
    return vouched
