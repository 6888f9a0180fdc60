"""Which PeerAuthentications hold for a workload, and the terms on which it may be called that follow from them.

One of each scope holds, the oldest: of the mesh (in the root namespace, without selector), of the namespace, of the
workload. The narrowest that does not say UNSET decides. Source: Istio's PeerAuthentication reference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from isthmus.api.istio.peer_authentication import MtlsMode, PeerAuthentication
from isthmus.api.resource import Ref
from isthmus.model.endpoint import Endpoint
from isthmus.model.findings import Code, Finding
from isthmus.model.proxy import Proxy
from isthmus.model.rules import age

Labels = Collection[tuple[str, str]]

UNSET: MtlsMode = "UNSET"
DISABLE: MtlsMode = "DISABLE"
PERMISSIVE: MtlsMode = "PERMISSIVE"
STRICT: MtlsMode = "STRICT"


class Terms(msgspec.Struct, frozen=True):
    """On which terms a workload may be called."""

    usual: MtlsMode = PERMISSIVE
    ports: tuple[tuple[int, MtlsMode], ...] = ()  # where they are others, by the workload's own port; sorted

    def at(self, port: int) -> MtlsMode:
        """The terms at one of its ports."""
        return next((mode for number, mode in self.ports if number == port), self.usual)

    @property
    def are_plain(self) -> bool:
        """Whether anything is called in plain text alone."""
        return self.usual == DISABLE or any(mode == DISABLE for _, mode in self.ports)


class Decided(NamedTuple):
    """What decides over the terms at a port."""

    mode: MtlsMode
    by: PeerAuthentication | None = None  # None: nobody says it
    path: str = ""


class PeerAuthentications:
    """All PeerAuthentications of a mesh, by namespace."""

    def __init__(self, found: Iterable[PeerAuthentication], root: str) -> None:
        self._root = root
        self._whole: dict[str, PeerAuthentication] = {}
        self._selecting: dict[str, list[PeerAuthentication]] = {}
        self._late: list[
            tuple[PeerAuthentication, PeerAuthentication]
        ] = []  # and those that came before them
        self._terms: dict[tuple[str, int], Terms] = {}  # by namespace, and which of those that select there
        for each in sorted(found, key=age):
            namespace = each.metadata.namespace
            if selected(each):
                self._selecting.setdefault(namespace, []).append(each)
            elif (first := self._whole.setdefault(namespace, each)) is not each:
                self._late.append((each, first))
        self._labels = frozenset(
            name for several in self._selecting.values() for each in several for name in selected(each)
        )

    def holding(self, proxy: Proxy) -> tuple[PeerAuthentication, ...]:
        """Those that hold for the workload of a proxy, the widest first."""
        return self.scopes(proxy.namespace, proxy.labels)

    def scopes(self, namespace: str, labels: Labels) -> tuple[PeerAuthentication, ...]:
        """Those that hold for a workload of `namespace` with these labels, the widest first."""
        return self._scopes(namespace, self._place(namespace, labels))

    def asked(self, proxy: Proxy) -> tuple[object, ...]:
        """All of a proxy on which that depends."""
        return proxy.namespace, tuple(each for each in proxy.labels if each[0] in self._labels)

    def terms(self, namespace: str, labels: Labels) -> Terms:
        """On which terms a workload of `namespace` with these labels may be called."""
        place = self._place(namespace, labels)
        if (namespace, place) not in self._terms:
            self._terms[namespace, place] = terms_of(self._scopes(namespace, place))
        return self._terms[namespace, place]

    def findings(self) -> Iterator[Finding]:
        """Those that have no effect, since older ones are for the same workloads."""
        for late, first in self._late:
            yield _overruled(late, first)
        for several in self._selecting.values():
            seen: dict[tuple[tuple[str, str], ...], PeerAuthentication] = {}
            for each in several:
                first = seen.setdefault(tuple(sorted(selected(each).items())), each)
                if first is not each:
                    yield _overruled(each, first)

    def _place(self, namespace: str, labels: Labels) -> int:
        """Which of those that select in the namespace selects the workload first; -1: none."""
        found = self._selecting.get(namespace, ())
        has = frozenset(labels if found else ())
        return next((at for at, each in enumerate(found) if selected(each).items() <= has), -1)

    def _scopes(self, namespace: str, place: int) -> tuple[PeerAuthentication, ...]:
        """Those that hold, the widest first."""
        wide = (self._whole.get(each) for each in dict.fromkeys((self._root, namespace)))
        own = (self._selecting[namespace][place],) if place >= 0 else ()
        return (*(each for each in wide if each is not None), *own)


def terms_of(scopes: Collection[PeerAuthentication]) -> Terms:
    """The terms that follow from those that hold for a workload, the widest first."""
    numbers = sorted({int(port) for each in scopes for port in each.spec.port_level_mtls})
    usual = decided(scopes, 0).mode
    own = ((number, decided(scopes, number).mode) for number in numbers)
    return Terms(usual, tuple(each for each in own if each[1] != usual))


def decided(scopes: Iterable[PeerAuthentication], port: int) -> Decided:
    """The terms at one port (0: at those that nobody names), and what decides over them."""
    found = Decided(PERMISSIVE)
    for each in scopes:
        usual = each.spec.mtls
        if usual is not None and usual.mode != UNSET:
            found = Decided(usual.mode, each, "$.spec.mtls.mode")
        for name, own in each.spec.port_level_mtls.items():
            if int(name) == port and own.mode != UNSET:
                found = Decided(own.mode, each, f"$.spec.portLevelMtls[{name}].mode")
    return found


def selected(found: PeerAuthentication) -> Mapping[str, str]:
    """The labels of the workloads for which it is; empty: all of its namespace."""
    return found.spec.selector.match_labels if found.spec.selector is not None else {}


def called(endpoint: Endpoint, peers: PeerAuthentications) -> Endpoint:
    """`endpoint`, which says at which of its ports it is called in plain text."""
    terms = peers.terms(endpoint.namespace, endpoint.labels) if endpoint.tls else _USUAL
    if not terms.are_plain:
        return endpoint
    plain = {number for _, number in endpoint.ports if terms.at(number) == DISABLE}
    return msgspec.structs.replace(endpoint, plain_at=tuple(sorted(plain.union(endpoint.plain_at))))


_USUAL = Terms()


def ref_of(found: PeerAuthentication) -> Ref:
    """By which findings name it."""
    return Ref("PeerAuthentication", found.metadata.namespace, found.metadata.name)


def _overruled(late: PeerAuthentication, first: PeerAuthentication) -> Finding:
    older = first.metadata.name
    message = f"has no effect: {older} is for the same workloads, and older (hint: put both into one)"
    code = Code.PEERS_OVERRULED
    return Finding(ref=ref_of(late), message=message, severity=code.severity, code=code)
