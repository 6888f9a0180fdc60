"""Which policies of a kind hold for a proxy: those of the root namespace and of its own that are for its workload.

Source: Istio's references of AuthorizationPolicy and RequestAuthentication: all that match hold together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from isthmus.model.proxy import Proxy
from isthmus.model.rules import age
from isthmus.model.selection import Selecting, labels_of, references_of, selects

P = TypeVar("P", bound=Selecting)


class Policies(Generic[P]):
    """All policies of a kind, by namespace."""

    def __init__(self, found: Iterable[P], root: str) -> None:
        self._root = root
        self._by_namespace: dict[str, list[P]] = {}
        for each in sorted(found, key=age):
            self._by_namespace.setdefault(each.metadata.namespace, []).append(each)
        every = [one for several in self._by_namespace.values() for one in several]
        self.labels = frozenset(label for one in every for label in labels_of(one))
        self.by_reference = any(references_of(one) for one in every)

    def holding(self, proxy: Proxy) -> tuple[P, ...]:
        """Those for `proxy`: first those of the root namespace, then those of its own, the oldest first."""
        return tuple(
            each
            for namespace in dict.fromkeys((self._root, proxy.namespace))
            for each in self._by_namespace.get(namespace, ())
            if self._is_for(each, proxy)
        )

    def _is_for(self, found: P, proxy: Proxy) -> bool:
        return selects(found, proxy)

    def asked(self, proxy: Proxy) -> tuple[object, ...]:
        """All of a proxy on which it depends which of them hold: proxies alike in it are asked for once."""
        labels = proxy.labels if self.by_reference else ()
        return proxy.namespace, labels or tuple(each for each in proxy.labels if each[0] in self.labels)
