"""The namespaces that the mesh looks at, by MeshConfig's `discoverySelectors`; what is in others is kept aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from isthmus.api.core.label_selector import LabelSelector
from isthmus.api.resource import Object, Ref
from isthmus.model.change import Change
from isthmus.model.names import ClusterId

Knows = Callable[[ClusterId], Iterable[Change]]
"""All that is known of the looked at part of a cluster, as if it were told anew."""

_NAME = "kubernetes.io/metadata.name"
"""The label that every namespace has, be it that nobody wrote the namespace down."""
_EVERYWHERE = frozenset({"Secret", "ConfigMap"})  # followed one by one, by those who name them


class Selection:
    """Lets the changes pass that are in selected namespaces; without selectors all are.

    A namespace that comes to be selected brings all that is kept aside; one that ceases to be takes all with it.
    The root namespace, where the mesh's own settings stand, is always selected.
    """

    def __init__(self, root_namespace: str) -> None:
        self._root = root_namespace
        self._selectors: tuple[LabelSelector, ...] = ()
        self._labels: dict[ClusterId, dict[str, Mapping[str, str]]] = {}
        self._aside: dict[
            ClusterId, dict[Ref, tuple[Change, ...]]
        ] = {}  # the last good one, and what is wrong

    def passed(self, change: Change, knows: Knows) -> Iterator[Change]:
        """What the mesh is to take because of `change`."""
        cluster, ref = change.key
        self._labels.setdefault(cluster, {})
        if ref.kind == "Cluster":
            del self._labels[cluster]
            self._aside.pop(cluster, None)
        elif ref.kind == "Namespace" and (change.value is None or isinstance(change.value, Object)):
            yield from self._relabelled(cluster, ref.name, change.value, knows)
        elif not self._counts(cluster, ref):
            self._put_aside(change)
            return
        yield change

    def choose(self, selectors: tuple[LabelSelector, ...], knows: Knows) -> Iterator[Change]:
        """What the mesh is to take because these are the selectors from now on."""
        if selectors != self._selectors:
            self._selectors = selectors
            for cluster in sorted(self._labels):
                yield from self._sorted_anew(cluster, knows)

    def _relabelled(
        self, cluster: ClusterId, name: str, value: Object | None, knows: Knows
    ) -> Iterator[Change]:
        before, labels = self._selects(cluster, name), self._labels[cluster]
        if value is None:
            labels.pop(name, None)
        else:
            labels[name] = value.metadata.labels
        if self._selects(cluster, name) != before:
            yield from self._sorted_anew(cluster, knows)

    def _sorted_anew(self, cluster: ClusterId, knows: Knows) -> Iterator[Change]:
        for ref, changes in list(self._aside.get(cluster, {}).items()):
            if self._counts(cluster, ref):
                del self._aside[cluster][ref]
                yield from changes
        for change in list(knows(cluster)):
            if not self._counts(cluster, change.key.ref):
                self._put_aside(change)
                yield Change(change.key, None)

    def _put_aside(self, change: Change) -> None:
        (cluster, ref), value = change
        aside = self._aside.setdefault(cluster, {})
        if value is None:
            aside.pop(ref, None)
        elif isinstance(value, Object):
            aside[ref] = (change,)
        else:
            good = [each for each in aside.get(ref, ()) if isinstance(each.value, Object)]
            aside[ref] = (*good, change)

    def _counts(self, cluster: ClusterId, ref: Ref) -> bool:
        return not ref.namespace or ref.kind in _EVERYWHERE or self._selects(cluster, ref.namespace)

    def _selects(self, cluster: ClusterId, namespace: str) -> bool:
        if not self._selectors or namespace == self._root:
            return True
        labels = {**self._labels[cluster].get(namespace, {}), _NAME: namespace}
        return any(each.selects(labels) for each in self._selectors)
