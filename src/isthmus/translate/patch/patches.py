"""All patches: of EnvoyFilters, and those by which WasmPlugins come. Which hold for whom, and what comes of them.

A patch that cannot be applied is left out, and all else goes on. What was made for one proxy is remembered
for all that hold the same patches; where none holds, nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from isthmus.api.istio.envoy_filter import EnvoyFilter
from isthmus.api.istio.wasm_plugin import WasmPlugin
from isthmus.api.resource import Object, Ref
from isthmus.kit.memo import Memo
from isthmus.kit.versioned import Versioned
from isthmus.model.envoy_filters import EnvoyFilters, contexts_of
from isthmus.model.findings import Finding, Severity
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.model.wasm_plugins import WasmPlugins
from isthmus.translate import names
from isthmus.translate.patch.about import About
from isthmus.translate.patch.apply import Held
from isthmus.translate.patch.compiled import Patch, compiled, types_of
from isthmus.translate.patch.plugins import compiled_plugin

Objects = Mapping[Ref, Object]
_NO_OBJECTS: Objects = {}
_NONE: frozenset[str] = frozenset()
_PASSED_OVER = (
    "no proxy says such a version or metadata of itself "
    "(hint: the agent's ISTIO_META_ISTIO_VERSION is the version, each ISTIO_META_NAME an entry)"
)
Known = Callable[[], Iterable[Versioned]]
"""All resources of a type that a proxy has without patches."""


class Patches:
    """Applies patches, and remembers."""

    def __init__(self) -> None:
        self._filters: Memo[EnvoyFilters] = Memo()
        self._plugins: Memo[WasmPlugins] = Memo()
        self._held: Memo[Held | None] = Memo()
        self._made: Memo[Versioned | None] = Memo()
        self.memos = (self._made,)
        self.of_views = (self._filters, self._plugins, self._held)
        self._seen: tuple[Objects, Objects] = (_NO_OBJECTS, _NO_OBJECTS)
        self._compiled: dict[Ref, _Compiled] = {}
        self._passed_over: set[Patch] = set()  # by proxies that say something else of themselves
        self._interned: dict[tuple[Patch, ...], Held] = {}

    @staticmethod
    def are_any(mesh: Mesh) -> bool:
        """Whether there are any, for whomever."""
        return any(_objects(mesh))

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
        for _, each in sorted(self._compiled.items(), key=lambda item: item[0]):
            yield from each.findings
            by_path: dict[str, list[Patch]] = {}
            for patch in each.patches:
                if patch is not None:
                    by_path.setdefault(patch.path, []).append(patch)
            for patches in by_path.values():
                yield from self._came_of(patches)

    def _came_of(self, patches: list[Patch]) -> Iterator[Finding]:
        """What came of the patches that one field of an object asks for."""
        every = self._interned.values()
        outcomes = [held.outcomes[patch] for held in every for patch in patches if patch in held.outcomes]
        wrong = dict.fromkeys(each for one in outcomes for each in one.wrong.values())
        yield from wrong
        if not any(patch in held.patches for held in every for patch in patches):
            if self._passed_over.issuperset(patches):
                yield patches[0].finding(_PASSED_OVER, Severity.INFO, ".match.proxy")
        elif _is_tried(every, patches) and not wrong and not any(one.is_found for one in outcomes):
            hint = "(hint: isthmus proxy config shows what proxies have)"
            yield patches[0].finding(f"has found nothing to patch {hint}", Severity.INFO)

    def _each(
        self, held: Held, type_url: str, about: About, made: Iterable[Versioned]
    ) -> Iterator[Versioned]:
        plain = About(about.kind)
        for one in made:
            asks = about if about.kind is ProxyKind.ROUTER or _is_own(one.name) else plain
            found = self._made.get(
                (held, one),
                (type_url, asks),
                partial(held.patched, type_url, one, asks),
            )
            if found is not None:
                yield found

    @staticmethod
    def _about(mesh: Mesh, proxy: Proxy) -> About:
        workload = mesh.workloads.get((proxy.cluster, proxy.address))
        return About(proxy.kind, workload.serves if workload else ())

    def _holding(self, mesh: Mesh, proxy: Proxy) -> Held | None:
        """The patches that hold for a proxy; the same object for all proxies that have the same; None: none."""
        found = _objects(mesh)
        if not any(found):
            return None
        asked = (proxy.kind, proxy.namespace, proxy.labels, proxy.version, proxy.metadata)
        return self._held.get((*found, mesh.settings), asked, lambda: self._intern(mesh, proxy))

    def _intern(self, mesh: Mesh, proxy: Proxy) -> Held | None:
        self._compile(mesh)
        root, inputs = mesh.settings.root_namespace, (*_objects(mesh), mesh.settings)
        filters = self._filters.get(inputs, "", lambda: EnvoyFilters(mesh.of(EnvoyFilter), root))
        plugins = self._plugins.get(inputs, "", lambda: WasmPlugins(mesh.of(WasmPlugin), root))
        patches = [*self._of_plugins(plugins.holding(proxy), proxy)]
        for each in filters.selecting(proxy):
            patch = self._compiled[_ref(each.found)].patches[each.number]
            if patch is not None and each.is_meant:
                patches.append(patch)
            elif patch is not None:
                self._passed_over.add(patch)
        if not patches:
            return None
        return self._interned.setdefault(tuple(patches), Held(patches))

    def _of_plugins(self, plugins: Iterable[WasmPlugin], proxy: Proxy) -> Iterator[Patch]:
        """Their patches for proxies of this kind; from one host several modules may come."""
        hosts: set[str] = set()
        contexts = contexts_of(proxy.kind)
        for each in plugins:
            for patch in self._compiled[_ref(each)].patches:
                if patch is None or patch.match.context not in contexts:
                    continue
                host = str(getattr(patch.value, "name", "")) if patch.apply_to == "CLUSTER" else ""
                if host not in hosts:
                    yield patch
                hosts |= {host} if host else set()

    def _compile(self, mesh: Mesh) -> None:
        """Decode what has changed, and forget what has gone."""
        found = _objects(mesh)
        if all(now is then for now, then in zip(found, self._seen, strict=True)):
            return
        before, self._seen = self._compiled, found
        self._compiled = {}
        for ref, one in (item for of_kind in found for item in of_kind.items()):
            old = before.get(ref)
            if old is not None and old.found is one:
                self._compiled[ref] = old
            elif isinstance(one, EnvoyFilter):
                self._compiled[ref] = _Compiled(one, *compiled(one))
            elif isinstance(one, WasmPlugin):
                self._compiled[ref] = _Compiled(one, *compiled_plugin(one))
        alive = {patch for each in self._compiled.values() for patch in each.patches}
        self._passed_over &= alive
        self._interned = {key: held for key, held in self._interned.items() if alive.issuperset(key)}


def _is_tried(every: Collection[Held], patches: Iterable[Patch]) -> bool:
    """Whether there have been resources for any of the patches to find."""
    return any(
        patch in held.patches and not held.asked.isdisjoint(types_of(patch.apply_to))
        for held in every
        for patch in patches
    )


class _Compiled(NamedTuple):
    """An object, its patches by their place, and what is wrong with them."""

    found: Object
    patches: tuple[Patch | None, ...]
    findings: tuple[Finding, ...]


def _objects(mesh: Mesh) -> tuple[Objects, Objects]:
    config = mesh.config
    return config.get(EnvoyFilter.__name__, _NO_OBJECTS), config.get(WasmPlugin.__name__, _NO_OBJECTS)


def _ref(found: EnvoyFilter | WasmPlugin) -> Ref:
    return Ref(type(found).__name__, found.metadata.namespace, found.metadata.name)


def _is_own(name: str) -> bool:
    """Whether a resource is about the proxy's own workload."""
    return name == names.VIRTUAL_INBOUND or name.startswith("inbound|")
