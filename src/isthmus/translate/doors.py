"""Which datagrams a proxy takes where: told to its agent, which leads them there."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.doors import NAME, SHUT, Sent, written, written_shut
from isthmus.model.mesh import Mesh
from isthmus.model.peer_authentications import STRICT, terms_of
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.scope import View
from isthmus.model.workload import Workload
from isthmus.translate.guard import Guard
from isthmus.translate.tunnels import datagram_targets


class Doors:
    """Makes tables of doors; proxies of one view share theirs."""

    def __init__(self) -> None:
        self._tables: Memo[Versioned] = Memo()
        self.of_views = (self._tables,)

    def of(
        self, mesh: Mesh, view: View, asker: tuple[Proxy, Guard], wanted: frozenset[str] | None
    ) -> Iterator[Versioned]:
        """Those `wanted` (None: all) of a proxy: of doors, one for its whole view, and of its workload's shut ports."""
        every = self._every(mesh, view, *asker)
        return (one for one in every if wanted is None or one.name in wanted)

    def _every(self, mesh: Mesh, view: View, proxy: Proxy, guard: Guard) -> Iterator[Versioned]:
        here = (view.kind, view.cluster, view.families)
        yield self._tables.get((view.seen,), here, lambda: Versioned.of(NAME, b"".join(_ways(view))))
        if proxy.kind is ProxyKind.SIDECAR:
            shut = _shut(mesh.workloads.get((proxy.cluster, proxy.address)), guard)
            yield Versioned.of(SHUT, written_shut(shut))


def _shut(workload: Workload | None, guard: Guard) -> Iterator[int]:
    """The ports of a workload at which nothing but tunnels brings datagrams: those that it serves on STRICT terms."""
    terms = terms_of(guard.peers)
    served = datagram_targets(workload.serves) if workload is not None else ()
    return (each for each in served if terms.at(each) == STRICT)


def _ways(view: View) -> Iterator[bytes]:
    """Of two services that claim an address and port the older one has it, as of connections."""
    taken: set[Sent] = set()
    for service, port, door in sorted(view.datagrams, key=lambda each: (each[0].created, each[0].key)):
        for address in view.addresses(service):
            sent = Sent(address, port.number)
            if "/" not in address and sent not in taken:
                taken.add(sent)
                yield written(sent, door)
