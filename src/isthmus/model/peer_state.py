"""The PeerAuthentications as they are now, and what of the mesh must be made anew when they differ (ADR 0022)."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import msgspec

from isthmus.api.istio.peer_authentication import PeerAuthentication
from isthmus.api.resource import Object, Ref
from isthmus.model.dirt import Dirt
from isthmus.model.endpoint import EndpointShard
from isthmus.model.entries import Entries
from isthmus.model.facts import Facts
from isthmus.model.from_service_entry import labels_of
from isthmus.model.names import ClusterId
from isthmus.model.peer_authentications import DISABLE, Labels, PeerAuthentications, Terms, called, selected
from isthmus.model.service import Service


class PeerState:
    """Holds them, and marks the endpoints that are called in plain text now, or were before: nothing else of the
    mesh depends on them."""

    def __init__(self, root_namespace: str) -> None:
        self._root = root_namespace
        self._held: dict[Ref, PeerAuthentication] = {}
        self._scope: set[str] | None = set()  # the namespaces of those that differ; None: all
        self.now = PeerAuthentications((), root_namespace)

    def put(self, ref: Ref, before: Object | None, after: Object | None) -> None:
        """Take the step from `before` to `after` of one object."""
        for value in (before, after):
            if isinstance(value, PeerAuthentication):
                self._widen(value)
        if isinstance(after, PeerAuthentication):
            self._held[ref] = after
        elif isinstance(before, PeerAuthentication):
            self._held.pop(ref, None)

    def settle(self, dirt: Dirt, entries: Entries, facts: Mapping[ClusterId, Facts]) -> None:
        """Bring `now` up to date, and mark in `dirt` what that touches."""
        scope, self._scope = self._scope, set()
        if scope is not None and not scope:
            return
        before, self.now = self.now, PeerAuthentications(self._held.values(), self._root)

        def differs(namespace: str, labels: Labels) -> bool:
            terms = (each.terms(namespace, labels) for each in (before, self.now))
            return len({_plain(each) for each in terms}) > 1

        for cluster, held in facts.items():
            for pod in held.every_pod(scope):
                if differs(pod.metadata.namespace, pod.metadata.labels.items()):
                    dirt.mark(cluster, held, None, pod)
        for key, labels in entries.places(scope):
            if differs(key.namespace, labels.items()):
                dirt.entries.add(key)
        for workload in entries.workloads(scope):
            if differs(workload.metadata.namespace, labels_of(workload).items()):
                for held in facts.values():
                    dirt.mark_workload(held, workload)

    def taken(self, shard: EndpointShard | None) -> EndpointShard | None:
        """`shard`, whose endpoints say at which of their ports they are called in plain text."""
        if shard is None:
            return None
        found = tuple(called(each, self.now) for each in shard.endpoints)
        return shard if all(map(operator.is_, found, shard.endpoints)) else EndpointShard(found)

    def named(self, service: Service | None) -> Service | None:
        """`service`, whose endpoints that have names say the same."""
        if service is None or not service.named:
            return service
        return msgspec.structs.replace(service, named=tuple(called(each, self.now) for each in service.named))

    def _widen(self, value: PeerAuthentication) -> None:
        namespace = value.metadata.namespace
        if namespace == self._root and not selected(value):
            self._scope = None
        elif self._scope is not None:
            self._scope.add(namespace)


def _plain(terms: Terms) -> tuple[bool, frozenset[int]]:
    """Where no TLS is taken: whether usually, and at which ports it is otherwise."""
    usual = terms.usual == DISABLE
    return usual, frozenset(port for port, mode in terms.ports if (mode == DISABLE) != usual)
