"""All patches of all EnvoyFilters: which hold for a proxy, what comes of them, and what is wrong with them.

A patch that cannot be applied is left out, and all else goes on. What was made for one proxy is remembered
for all that hold the same patches; where none holds, nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.resource import Ref
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.envoy_filters import EnvoyFilters
from isthmus.model.findings import Finding, Severity
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate import names
from isthmus.translate.patch.about import About
from isthmus.translate.patch.apply import Held
from isthmus.translate.patch.compiled import Patch, compiled

_NONE: frozenset[str] = frozenset()
Known = Callable[[], Iterable[Versioned]]
"""All resources of a type that a proxy has without patches."""


class Patches:
    """Applies patches, and remembers."""

    def __init__(self) -> None:
        self._filters: Memo[EnvoyFilters] = Memo()
        self._held: Memo[Held | None] = Memo()
        self._made: Memo[Versioned | None] = Memo()
        self.memos = (self._filters, self._held, self._made)
        self._seen: Mapping[Ref, object] = {}
        self._compiled: dict[Ref, tuple[EnvoyFilter, tuple[Patch | None, ...], tuple[Finding, ...]]] = {}
        self._interned: dict[tuple[Patch, ...], Held] = {}

    def patched(
        self, mesh: Mesh, proxy: Proxy, type_url: str, made: Iterable[Versioned]
    ) -> Iterable[Versioned]:
        """`made` after the patches that hold for the proxy; those that they remove are not there."""
        held = self._holding(mesh, proxy)
        if held is None or not held.of(type_url):
            return made
        return self._each(held, type_url, self._about(mesh, proxy), made)

    def additions(self, mesh: Mesh, proxy: Proxy, type_url: str) -> frozenset[str]:
        """The names of what patches would add for the proxy."""
        held = self._holding(mesh, proxy)
        return held.additions(type_url) if held is not None else _NONE

    def added(self, mesh: Mesh, proxy: Proxy, type_url: str, known: Known) -> Iterable[Versioned]:
        """What patches add to the resources that the proxy has anyway."""
        held = self._holding(mesh, proxy)
        if held is None or not held.additions(type_url):
            return ()
        there = self.patched(mesh, proxy, type_url, known())
        return held.added(type_url, self._about(mesh, proxy), frozenset(one.name for one in there))

    def findings(self, mesh: Mesh) -> Iterator[Finding]:
        """What is wrong with patches, and which of them have found nothing that they are for."""
        self._compile(mesh)
        for _, patches, wrong in self._compiled.values():
            yield from wrong
            for patch in patches:
                if patch is not None:
                    yield from self._came_of(patch)

    def _came_of(self, patch: Patch) -> Iterator[Finding]:
        outcomes = [held.outcomes[patch] for held in self._interned.values() if patch in held.outcomes]
        wrong = dict.fromkeys(each for one in outcomes for each in one.wrong.values())
        yield from wrong
        if outcomes and not wrong and not any(one.is_found for one in outcomes):
            hint = "(hint: isthmus proxy config shows what proxies have)"
            yield patch.finding(f"has found nothing to patch {hint}", Severity.INFO)

    def _each(
        self, held: Held, type_url: str, about: About, made: Iterable[Versioned]
    ) -> Iterator[Versioned]:
        plain = About(about.kind)
        for one in made:
            asks = about if about.kind is ProxyKind.ROUTER or _is_own(one.name) else plain
            found = self._made.get(
                (held, one),
                (type_url, asks),
                lambda one=one, asks=asks: held.patched(type_url, one, asks),  # type: ignore[misc]
            )
            if found is not None:
                yield found

    @staticmethod
    def _about(mesh: Mesh, proxy: Proxy) -> About:
        workload = mesh.workloads.get((proxy.cluster, proxy.address))
        return About(proxy.kind, workload.serves if workload else ())

    def _holding(self, mesh: Mesh, proxy: Proxy) -> Held | None:
        """The patches that hold for a proxy; the same object for all proxies that have the same; None: none."""
        found = mesh.config.get(EnvoyFilter.__name__)
        if not found:
            return None
        filters = self._filters.get(
            (found, mesh.settings),
            "",
            lambda: EnvoyFilters(mesh.of(EnvoyFilter), mesh.settings.root_namespace),
        )
        asked = (proxy.kind, proxy.namespace, proxy.labels, proxy.version, proxy.metadata)
        return self._held.get((filters,), asked, lambda: self._intern(mesh, filters, proxy))

    def _intern(self, mesh: Mesh, filters: EnvoyFilters, proxy: Proxy) -> Held | None:
        self._compile(mesh)
        patches = []
        for each in filters.holding(proxy):
            meta = each.found.metadata
            _, ready, _ = self._compiled[Ref("EnvoyFilter", meta.namespace, meta.name)]
            patches += [patch] if (patch := ready[each.number]) else []
        if not patches:
            return None
        return self._interned.setdefault(tuple(patches), Held(patches))

    def _compile(self, mesh: Mesh) -> None:
        """Decode what has changed, and forget what has gone."""
        found = mesh.config.get(EnvoyFilter.__name__, {})
        if found is self._seen:
            return
        before, self._seen = self._compiled, found
        self._compiled = {}
        for ref, one in found.items():
            if isinstance(one, EnvoyFilter):
                old = before.get(ref)
                self._compiled[ref] = old if old and old[0] is one else (one, *compiled(one))
        alive = {patch for _, patches, _ in self._compiled.values() for patch in patches}
        self._interned = {key: held for key, held in self._interned.items() if alive.issuperset(key)}


def _is_own(name: str) -> bool:
    """Whether a resource is about the proxy's own workload."""
    return name == names.VIRTUAL_INBOUND or name.startswith("inbound|")
