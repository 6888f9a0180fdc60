"""The same value driven by state-of-the-world requests: each names all that is wanted.

Sentences in quotation marks are from Envoy's `xds_protocol.rst`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import blake2b

from isthmus.envoy.types import ClusterLoadAssignment
from isthmus.kit.versioned import Versioned
from isthmus.xds.generation import EVERYTHING
from isthmus.xds.request import Request
from isthmus.xds.snapshot import NOTHING, Diff, Snapshot, one
from isthmus.xds.subscription import WILDCARD, Subscription, Verdict
from isthmus.xds.type_urls import ENDPOINTS, ROOTS


class StateSubscription(Subscription):
    """One type of one proxy, in the state-of-the-world dialect.

    Responses of CDS and LDS are complete; those of other types bring what changed, and cannot say that
    something is gone: "deletions are indicated implicitly by parent resources being changed".
    """

    __slots__ = ("claim", "ever_named")

    def __init__(self, type_url: str) -> None:
        super().__init__(type_url)
        self.claim = ""
        """The version that the proxy brings along from an earlier stream, until it was compared."""
        self.ever_named = False

    @property
    def whole(self) -> bool:
        """Whether responses of this type are complete."""
        return self.type_url in ROOTS

    def take(self, request: Request) -> tuple[Verdict, frozenset[str] | None]:
        if self._is_stale(request):
            # "The management server should not send a DiscoveryResponse for any DiscoveryRequest that
            # has a stale nonce": the answer to the newer response will say all names again.
            return Verdict.NONE, NOTHING
        return super().take(request)

    def _is_stale(self, request: Request) -> bool:
        if not request.nonce:
            return self.in_flight is not None and self.started
        expected = self.in_flight.nonce if self.in_flight else self.last_nonce
        return request.nonce != expected and bool(expected)

    def update(self, request: Request) -> frozenset[str] | None:
        first, self.started = not self.started, True
        named = one(request.subscribe - {WILDCARD}) if WILDCARD in request.subscribe else request.subscribe
        # "once the client does explicitly subscribe to a resource name ... clearing the list of
        # subscribed resources is interpreted as an unsubscription"
        self.ever_named = self.ever_named or bool(request.subscribe)
        wildcard = WILDCARD in request.subscribe or (self.whole and not self.ever_named)
        # "it is generally safe for servers to do this optimization for LDS and CDS when the only
        # subscription is a wildcard subscription": not to send again what the proxy has. What it asked for
        # since then it may have forgotten meanwhile.
        self.claim = request.version if first and wildcard and not named else ""
        return self._want(named, wildcard)

    def _want(self, named: frozenset[str], wildcard: bool) -> frozenset[str] | None:
        added = named - self.names
        dropped = self.names - named
        before, self.wildcard, self.names = self.wildcard, wildcard, named
        if not wildcard and (dropped or before):
            self._forget(self.held.names() - named)
        # "the server must resend any newly requested resources, even if it previously sent those
        # resources without having been asked for them and the resources have not changed"
        self.forced = self.forced | added
        if wildcard and not before:
            self.owed = True
            return EVERYTHING
        return added

    def among(self, pending: frozenset[str] | None) -> frozenset[str] | None:
        return self.scope if self.whole else super().among(pending)

    def due(self, resources: Iterable[Versioned], among: frozenset[str] | None = EVERYTHING) -> Diff:
        """As in the incremental dialect; for complete types `changed` is everything if anything differs.

        A proxy that brought along the version of just these resources is taken to hold them.
        """
        kept = tuple(each for each in resources if self.wants(each.name))
        if self.whole and self.claim:
            if self.claim == state_version(kept):
                self.held = Snapshot.of({each.name: each.version for each in kept})
                self.owed = False
            self.claim = ""
        diff = super().due(kept, among)
        if not self.whole:
            awaited = self.forced.intersection((*diff.removed, *diff.absent))
            none = map(_none, sorted(awaited)) if self.type_url == ENDPOINTS else ()
            return replace(diff, changed=(*diff.changed, *none), removed=(), absent=())
        if diff.changed or diff.removed or self.owed:
            return Diff(kept, diff.removed, unchanged=diff.unchanged)
        return Diff(unchanged=diff.unchanged)

    @property
    def shareable(self) -> bool:
        return super().shareable and not self.claim

    def without_removals(self, diff: Diff) -> Diff:
        if not self.whole or not diff.removed or self.owed:
            return diff
        only_removals = diff.unchanged == len(diff.changed)
        return Diff() if only_removals else diff

    def _guilty(self, offered: list[str], reason: str) -> list[str]:
        # A complete response cannot leave out what is to blame: it is all offered again when something
        # changes, and not before.
        return offered if self.whole else super()._guilty(offered, reason)


def _none(upstream: str) -> Versioned:
    """No endpoints: how an Envoy that holds an upstream back until it hears of them is told that there are none."""
    return Versioned.of(upstream, ClusterLoadAssignment(cluster_name=upstream).SerializeToString())


def state_version(resources: Iterable[Versioned]) -> str:
    """One version for all of `resources`: equal sets have equal versions, whoever computes them."""
    digest = blake2b(digest_size=8)
    for line in sorted(f"{each.name}\0{each.version}\n" for each in resources):
        digest.update(line.encode())
    return digest.hexdigest()
