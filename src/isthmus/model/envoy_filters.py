"""Which patches of EnvoyFilters hold for a proxy, in the order in which they are applied.

Source: Istio's EnvoyFilter reference: by priority, then those of the root namespace before the proxy's own,
then by age, then by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import re2

from isthmus.api.istio.envoy_filter import EnvoyFilter, ProxyMatch
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.selection import selects

_OF_SIDECARS = frozenset({"ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND"})
_OF_GATEWAYS = frozenset({"ANY", "GATEWAY"})


def contexts_of(kind: ProxyKind) -> frozenset[str]:
    """The contexts of matches that mean proxies of a kind."""
    return _OF_GATEWAYS if kind is ProxyKind.ROUTER else _OF_SIDECARS


class HeldPatch(NamedTuple):
    """A patch of an EnvoyFilter, by its place."""

    found: EnvoyFilter
    number: int
    is_meant: bool = True  # whether the proxy says of itself what the patch wants


class EnvoyFilters:
    """All EnvoyFilters of a mesh, by namespace."""

    def __init__(self, found: Iterable[EnvoyFilter], root: str) -> None:
        self._root = root
        self._by_namespace: dict[str, list[EnvoyFilter]] = {}
        for each in found:
            self._by_namespace.setdefault(each.metadata.namespace, []).append(each)

    def __bool__(self) -> bool:
        return bool(self._by_namespace)

    def holding(self, proxy: Proxy) -> tuple[HeldPatch, ...]:
        """The patches that may concern `proxy`, in the order in which they are applied."""
        return tuple(each for each in self.selecting(proxy) if each.is_meant)

    def selecting(self, proxy: Proxy) -> tuple[HeldPatch, ...]:
        """The same, with those that want something else of what the proxy says of itself."""
        namespaces = dict.fromkeys((self._root, proxy.namespace))
        filters = [
            each
            for namespace in namespaces
            for each in self._by_namespace.get(namespace, ())
            if selects(each, proxy)
        ]
        contexts = contexts_of(proxy.kind)
        return tuple(
            HeldPatch(each, number, _says(proxy, patch.match.proxy))
            for each in sorted(filters, key=self._order)
            for number, patch in enumerate(each.spec.config_patches)
            if patch.match.context in contexts
        )

    def _order(self, found: EnvoyFilter) -> tuple[int, bool, str, str, str]:
        meta = found.metadata
        age = meta.creation_timestamp or ""
        return found.spec.priority, meta.namespace != self._root, age, meta.name, meta.namespace


def _says(proxy: Proxy, match: ProxyMatch | None) -> bool:
    if match is None:
        return True
    if match.metadata and not set(match.metadata.items()) <= set(proxy.metadata):
        return False
    if not match.proxy_version:
        return True
    return bool(proxy.version) and _is_found(match.proxy_version, proxy.version)


@lru_cache(maxsize=4096)
def _is_found(pattern: str, text: str) -> bool:
    return re2.search(pattern, text) is not None
