"""Which AuthorizationPolicies hold at a port, and the filters that keep them."""

from __future__ import annotations

from functools import lru_cache

from isthmus.model.authorization_policies import Governing
from isthmus.model.selection import labels_of, references_of
from isthmus.translate.authorization.foregone import nobody_passes
from isthmus.translate.authorization.rbac import Sieve, sieves
from isthmus.translate.authorization.rules import Dialect
from isthmus.translate.guard import Checkpoint, Guard


def sieves_at(point: Checkpoint, *, requests: bool) -> tuple[Sieve, ...]:
    """What calls pass at a port, first to last: of requests, or of connections."""
    guard = point.guard
    held = tuple(index for index, each in enumerate(guard.authorization) if _holds(each, point))
    if point.datagrams is None:
        return _at_ports(guard, held, requests)
    dialect = Dialect(guard.trust_domains, guard.cluster_domains, requests, point.datagrams)
    return _made(guard, held, dialect)


def waits_at(point: Checkpoint, *, caller_first: bool, proven: bool) -> bool:
    """Whether whom connections are for is called only when their first bytes have come, and the policies let them in.

    That is so where callers speak first, and where nobody is let in: a server that speaks first must be called before,
    or those who are let in would wait for it, and it for them. `proven`: callers have shown who they are.
    """
    found = sieves_at(point, requests=False)
    return bool(found) and (caller_first or nobody_passes(found, point.port, proven=proven))


def _holds(found: Governing, point: Checkpoint) -> bool:
    if point.passes and not (labels_of(found.policy) or references_of(found.policy)):
        return False  # it is for everybody, and nobody is known here
    # Streams of datagrams say themselves for which port they are.
    return found.ports is None or point.datagrams is not None or point.port in found.ports


@lru_cache(maxsize=256)
def _at_ports(guard: Guard, held: tuple[int, ...], requests: bool) -> tuple[Sieve, ...]:
    """The same for all ports at which the same policies hold: a workload has several, and policies many rules."""
    return _made(guard, held, Dialect(guard.trust_domains, guard.cluster_domains, requests))


def _made(guard: Guard, held: tuple[int, ...], dialect: Dialect) -> tuple[Sieve, ...]:
    authorizers = {each.provider.name: each for each in guard.authorizers}
    return tuple(sieves((guard.authorization[index] for index in held), dialect, authorizers))
