"""Which AuthorizationPolicies hold at a port, and the filters that keep them."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.translate.authorization.rbac import Sieve, sieves
from isthmus.translate.authorization.rules import Dialect
from isthmus.translate.guard import Checkpoint


def sieves_at(point: Checkpoint, *, requests: bool) -> Iterator[Sieve]:
    """What calls pass at a port, first to last: of requests, or of connections."""
    guard = point.guard
    # Streams of datagrams say themselves for which port they are.
    held = [
        each
        for each in guard.authorization
        if each.ports is None or point.datagrams is not None or point.port in each.ports
    ]
    dialect = Dialect(guard.trust_domains, requests, point.datagrams)
    authorizers = {each.provider.name: each for each in guard.authorizers}
    return sieves(held, dialect, authorizers)
