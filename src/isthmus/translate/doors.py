"""Which datagrams a proxy takes where: told to its agent, which leads them there."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.doors import NAME, Sent, written
from isthmus.model.scope import View


class Doors:
    """Makes tables of doors; proxies of one view share theirs."""

    def __init__(self) -> None:
        self._tables: Memo[Versioned] = Memo()
        self.of_views = (self._tables,)

    def of(self, view: View) -> Versioned:
        """The table of the proxies of `view`."""
        here = (view.kind, view.cluster, view.families)
        return self._tables.get((view.seen,), here, lambda: Versioned.of(NAME, b"".join(_ways(view))))


def _ways(view: View) -> Iterator[bytes]:
    """Of two services that claim an address and port the older one has it, as of connections."""
    taken: set[Sent] = set()
    for service, port, door in sorted(view.datagrams, key=lambda each: (each[0].created, each[0].key)):
        for address in view.addresses(service):
            sent = Sent(address, port.number)
            if "/" not in address and sent not in taken:
                taken.add(sent)
                yield written(sent, door)
