"""How pods are injected, as the cluster says it now: of each part the last that could be used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress

import msgspec

from isthmus.api import kind_named
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.namespace import Namespace
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import MeshConfig
from isthmus.api.istio.proxy_config import ProxyConfigObject
from isthmus.api.resource import Object, Ref
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.scopes import admission as log
from isthmus.kube.client import Client, Scope
from isthmus.kube.informer import Informer
from isthmus.kube.version import server_versions
from isthmus.kube.watch import Watch
from isthmus.model.mesh_config_problems import checked_mesh_config
from isthmus.sidecar.inject.mesh_settings import with_mesh
from isthmus.sidecar.inject.settings import InjectSettings, InvalidSettings, settings_in

INJECTOR, MESH = "istio-sidecar-injector", "istio"
_CONFIG_MAPS = kind_named("ConfigMap")
_NAMESPACES = kind_named("Namespace")
_PROXY_CONFIGS = kind_named("ProxyConfig")
_SYNC_LIMIT_S = 15.0  # then those that are known count: a cluster may not show everything to us


class FollowedSettings:
    """Told by informers. What is wrong is logged and kept in `wrong`, and changes nothing."""

    def __init__(self, namespace: str, suffix: str = "", clock: Clock | None = None) -> None:
        """`suffix`: of the names of both ConfigMaps, for a revision that has its own."""
        self._namespace, self._clock = namespace, clock or SystemClock()
        self._names = (f"{INJECTOR}{suffix}", f"{MESH}{suffix}")
        self._own: InjectSettings | None = None
        self._mesh = MeshConfig()
        self._proxies: dict[Ref, ProxyConfigObject] = {}
        self._labels: dict[str, Mapping[str, str]] = {}
        self._now: InjectSettings | None = None
        self._kubernetes, self._version_heard = "", asyncio.Event()
        self._all_heard = False
        self.wrong: dict[str, str] = {}
        """What cannot be used at the moment, and why, by what it is."""

    @property
    def now(self) -> InjectSettings | None:
        """None until the injector's ConfigMap could be used once, and all else was heard of."""
        return self._now if self._all_heard else None

    def labels(self, namespace: str) -> Mapping[str, str]:
        """Of a namespace; none where it is not known."""
        return self._labels.get(namespace, {})

    async def run(self, client: Client) -> None:
        """Follow the cluster behind `client` until cancelled."""
        injector, mesh = self._names
        followed = (
            (_CONFIG_MAPS, Scope(self._namespace, fields=f"metadata.name={injector}"), self.injector_seen),
            (_CONFIG_MAPS, Scope(self._namespace, fields=f"metadata.name={mesh}"), self.mesh_seen),
            (_PROXY_CONFIGS, Scope(), self.proxy_config_seen),
            (_NAMESPACES, Scope(), self.namespace_seen),
        )
        informers = [Informer(kind, Watch(client, kind, scope), seen) for kind, scope, seen in followed]
        async with asyncio.TaskGroup() as group:
            for each in informers:
                group.create_task(each.run())
            group.create_task(self._follow_version(client))
            # A pod must not be injected as if the mesh had no settings, only since they come a moment later.
            with suppress(TimeoutError):
                async with asyncio.timeout(_SYNC_LIMIT_S):
                    for each in informers:
                        await each.synced.wait()
                    await self._version_heard.wait()
            self._all_heard = True

    async def _follow_version(self, client: Client) -> None:
        async with aclosing(server_versions(client, self._clock)) as versions:
            async for version in versions:
                self.version_seen(version)

    def version_seen(self, version: str) -> None:
        """The API server is of this Kubernetes now."""
        log.info("version of kubernetes known", version=version)
        self._kubernetes = version
        self._version_heard.set()
        self._make()

    def injector_seen(self, _: Ref, found: Object | InvalidConfig | None) -> None:
        """The injector's ConfigMap came, changed or went (an informer's handler)."""
        name = f"ConfigMap {self._namespace}/{self._names[0]}"
        if not isinstance(found, ConfigMap):
            self._complain(name, "is not there" if found is None else str(found))
            return
        try:
            self._own = settings_in(found.data)
        except InvalidSettings as error:
            self._complain(name, str(error))
            return
        self._mended(name)

    def mesh_seen(self, _: Ref, found: Object | InvalidConfig | None) -> None:
        """The mesh's ConfigMap came, changed or went; a remote cluster may have none."""
        name = f"ConfigMap {self._namespace}/{self._names[1]}"
        if isinstance(found, InvalidConfig):
            self._complain(name, str(found))
            return
        try:
            text = found.data.get("mesh", "") if isinstance(found, ConfigMap) else ""
            self._mesh = checked_mesh_config(text)[0]
        except InvalidConfig as error:
            wrong = "; ".join(f"$.data.mesh{path.removeprefix('$')}: {why}" for path, why in error.problems)
            self._complain(name, wrong)
            return
        self._mended(name)

    def proxy_config_seen(self, ref: Ref, found: Object | InvalidConfig | None) -> None:
        """A ProxyConfig came, changed or went; one that is wrong keeps its last good form, as for Pilot."""
        if isinstance(found, InvalidConfig):
            self._complain(str(ref), str(found))
            return
        self._proxies.pop(ref, None)
        if isinstance(found, ProxyConfigObject):
            self._proxies[ref] = found
        self._mended(str(ref))

    def namespace_seen(self, ref: Ref, found: Object | InvalidConfig | None) -> None:
        """A namespace came, changed or went."""
        self._labels.pop(ref.name, None)
        if isinstance(found, Namespace):
            self._labels[ref.name] = found.metadata.labels

    def _mended(self, name: str) -> None:
        if self.wrong.pop(name, None):
            log.info("injection settings can be used again", object=name)
        self._make()

    def _make(self) -> None:
        if self._own is None:
            return
        proxies = tuple(self._proxies[ref] for ref in sorted(self._proxies))
        made = with_mesh(self._own, self._mesh, proxies)
        self._now = msgspec.structs.replace(made, kubernetes=self._kubernetes)

    def _complain(self, name: str, why: str) -> None:
        if self.wrong.get(name) != why:
            kept = "the last good one counts" if self._now else "no pod can be injected"
            log.error("injection settings cannot be used", object=name, reason=why, kept=kept)
        self.wrong[name] = why
