"""Connections end with the CAs by which who is at their other end was believed.

Envoy verifies a certificate when a connection begins, and keeps connections for long. So upstreams, and the filter
chains in which TLS ends, say in their metadata which bundles they believe by: when that is another one Envoy makes them
anew. An upstream's connections end with it at once, those of a filter chain when it has been drained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from isthmus.envoy.types import Cluster, Listener, Metadata
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.credential import Credential
from isthmus.translate import proto

_OURS = "isthmus"
Bundles = Mapping[str, Credential]
"""Those that have certificates of CAs, by the names under which Envoy asks for them."""


class Trust:
    """Marks what believes by CAs with these."""

    def __init__(self) -> None:
        self.marked: Memo[Versioned] = Memo()

    def upstreams(self, made: Iterable[Versioned], bundles: Bundles) -> Iterable[Versioned]:
        """`made`, those marked that name one of `bundles`."""
        return self._marked(made, bundles, _upstream) if bundles else made

    def listeners(self, made: Iterable[Versioned], bundles: Bundles) -> Iterable[Versioned]:
        """`made`, in which those filter chains are marked that name one of `bundles`."""
        return self._marked(made, bundles, _listener) if bundles else made

    def _marked(
        self, made: Iterable[Versioned], bundles: Bundles, mark: Callable[[Versioned, Bundles], Versioned]
    ) -> Iterator[Versioned]:
        for one in made:
            found = _named(one.body, bundles)
            make = partial(mark, one, found)
            yield self.marked.get((one, *found.values()), tuple(found), make) if found else one


def _named(body: bytes, bundles: Bundles) -> Bundles:
    return {name: held for name, held in sorted(bundles.items()) if name.encode() in body}


def _upstream(one: Versioned, found: Bundles) -> Versioned:
    # Messages that follow each other are one message: what was made is not made again.
    return Versioned.of(one.name, one.body + proto.body(Cluster(metadata=_mark(found))))


def _listener(one: Versioned, found: Bundles) -> Versioned:
    listener = Listener.FromString(one.body)
    for each in listener.filter_chains:
        if named := _named(each.transport_socket.typed_config.value, found):
            each.metadata.MergeFrom(_mark(named))
    return proto.sealed(listener)


def _mark(found: Bundles) -> Metadata:
    believed = b"".join(each.roots + each.revoked for each in found.values())
    made = Metadata()
    made.filter_metadata[_OURS]["trust"] = Versioned.of("", believed).version
    return made
