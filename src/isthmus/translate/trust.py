"""Connections to upstreams end with the CAs by which their servers were believed.

Envoy verifies a server when it connects, and keeps connections for long. So an upstream says in its metadata which
bundle it believes by: when that is another one Envoy makes the upstream anew, and its connections with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from isthmus.envoy.types import Cluster
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.credential import Credential
from isthmus.translate import proto

_OURS = "isthmus"


class Trust:
    """Marks upstreams with the CAs that their servers are believed by."""

    def __init__(self) -> None:
        self.marked: Memo[Versioned] = Memo()

    def mark(self, made: Iterable[Versioned], bundles: Mapping[str, Credential]) -> Iterator[Versioned]:
        """`made`, those marked that name one of `bundles`."""
        for one in made:
            found = tuple(held for name, held in sorted(bundles.items()) if name.encode() in one.body)
            yield self.marked.get((one, *found), "", partial(_marked, one, found)) if found else one


def _marked(one: Versioned, found: Iterable[Credential]) -> Versioned:
    more = Cluster()
    believed = b"".join(each.roots + each.revoked for each in found)
    more.metadata.filter_metadata[_OURS]["trust"] = Versioned.of("", believed).version
    # Messages that follow each other are one message: what was made is not made again.
    return Versioned.of(one.name, one.body + proto.body(more))
