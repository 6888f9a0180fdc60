"""Hosts as Gateways have them: `host` or `namespace/host`, with wildcards on either side."""

from __future__ import annotations

from isthmus.model.names import host_matches, resolve
from isthmus.model.visibility import EVERYWHERE, HERE


def lets_in(pattern: str, own: str, host: str, namespace: str, domain: str) -> bool:
    """Whether a server of a Gateway in namespace `own` lets in some host of rules in `namespace`."""
    where, slash, name = pattern.rpartition("/")
    if slash and where != EVERYWHERE and (own if where == HERE else where) != namespace:
        return False
    return overlap(resolve(name, own, domain), resolve(host, namespace, domain))


def overlap(one: str, other: str) -> bool:
    """Whether any host falls under both."""
    return host_matches(one, other) or host_matches(other, one) or one == other
