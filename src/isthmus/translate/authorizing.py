"""Which AuthorizationPolicies hold at a port, and the filters that keep them."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.model.authorization_policies import Governing
from isthmus.model.selection import labels_of, references_of
from isthmus.translate.authorization.rbac import Sieve, sieves
from isthmus.translate.authorization.rules import Dialect
from isthmus.translate.guard import Checkpoint


def sieves_at(point: Checkpoint, *, requests: bool) -> Iterator[Sieve]:
    """What calls pass at a port, first to last: of requests, or of connections."""
    guard = point.guard
    held = [each for each in guard.authorization if _holds(each, point)]
    dialect = Dialect(guard.trust_domains, requests, point.datagrams)
    authorizers = {each.provider.name: each for each in guard.authorizers}
    return sieves(held, dialect, authorizers)


def _holds(found: Governing, point: Checkpoint) -> bool:
    if point.passes and not (labels_of(found.policy) or references_of(found.policy)):
        return False  # it is for everybody, and nobody is known here
    # Streams of datagrams say themselves for which port they are.
    return found.ports is None or point.datagrams is not None or point.port in found.ports
