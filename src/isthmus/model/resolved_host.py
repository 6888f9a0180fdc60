"""The addresses behind a gateway's name, as whoever asked a DNS server last tells them."""

from __future__ import annotations

from isthmus.api.resource import Object, Ref
from isthmus.model.change import Change, ChangeKey
from isthmus.model.names import ClusterId

KIND = "ResolvedHost"


class ResolvedHost(Object, frozen=True, kw_only=True):
    """A name with its addresses: a fact like those of clusters."""

    addresses: tuple[str, ...]


def ref_of_host(host: str) -> Ref:
    """By which a name's addresses are kept."""
    return Ref(KIND, "", host)


def resolved(cluster: ClusterId, host: str, addresses: tuple[str, ...]) -> Change:
    """The change that `host` now stands for these addresses; `cluster` is the configuration's."""
    return Change(ChangeKey(cluster, ref_of_host(host)), ResolvedHost(addresses=addresses))
