"""Which WasmPlugins hold for a proxy, in the order in which requests pass them.

Source: Istio's WasmPlugin reference: by phase, then the greater priority first, then by name.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.model.proxy import Proxy
from isthmus.model.selection import selects

_PHASES = ("AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE")


class WasmPlugins:
    """All WasmPlugins of a mesh, by namespace."""

    def __init__(self, found: Iterable[WasmPlugin], root: str) -> None:
        self._root = root
        self._by_namespace: dict[str, list[WasmPlugin]] = {}
        for each in found:
            self._by_namespace.setdefault(each.metadata.namespace, []).append(each)

    def holding(self, proxy: Proxy) -> tuple[WasmPlugin, ...]:
        """Those for `proxy`: of the root namespace and of its own, in the order in which they are passed."""
        found = [
            each
            for namespace in dict.fromkeys((self._root, proxy.namespace))
            for each in self._by_namespace.get(namespace, ())
            if selects(each, proxy)
        ]
        return tuple(sorted(found, key=_order))


def _order(found: WasmPlugin) -> tuple[int, int, str, str]:
    spec, meta = found.spec, found.metadata
    return _PHASES.index(spec.phase), -(spec.priority or 0), meta.name, meta.namespace
