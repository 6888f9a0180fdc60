"""What is asked of each cluster, all at once, and each for so long at the most."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from isthmus.api import KINDS
from isthmus.api.core.pod import PodSpec
from isthmus.api.resource import Kind, Meta, Object
from isthmus.console.bug_report.archive import Archive
from isthmus.console.bug_report.selection import Selection, is_meant
from isthmus.console.control_plane import PODS, access_to
from isthmus.console.programs import ADMIN_PORT, CITADEL, CITADEL_PORT, INJECTOR, MONITORING_PORT, PILOT
from isthmus.kube.client import Client, Scope, path_of
from isthmus.kube.errors import Forbidden, KubeError, NotFound
from isthmus.kube.pods import fetch
from isthmus.model.revision import DEFAULT, LABEL, suffix

_LOOKED_AT = (
    Kind("", ("v1",), "Event", "events", Object),
    Kind("apps", ("v1",), "Deployment", "deployments", Object),
    Kind("apps", ("v1",), "DaemonSet", "daemonsets", Object),
)
_WEBHOOKS = tuple(
    Kind("admissionregistration.k8s.io", ("v1",), name, f"{name.lower()}s", Object, namespaced=False)
    for name in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
)
_UNREAD = frozenset({"Secret"})
_CONFIG_MAPS = ("isthmus-trust-bundles", "isthmus-log-levels")
_OF_REVISIONS = ("istio", "istio-sidecar-injector")
"""ConfigMaps that each revision has for itself, with its name behind these."""
_PAGES = (
    "ready",
    "version",
    "metrics",
    "debug/proxies",
    "debug/clusters",
    "debug/services",
    "debug/endpoints",
)
_FURTHER_PAGES = (
    "debug/findings",
    "debug/trust",
    "debug/syncz",
    "debug/clusterz",
    "debug/configz",
    "debug/logging",
)
_OF_OTHERS = ("ready", "metrics", "debug/logging")
"""Pages of Citadels and injectors."""
_OF_ENVOYS = (
    "config_dump?include_eds",
    "clusters?format=json",
    "listeners?format=json",
    "server_info",
    "stats",
)
_SIDECAR = "istio-proxy"


class Limits(NamedTuple):
    """How long each question may take, how many proxies are asked and whose, how much of logs, how many at once."""

    one_s: float = 30.0
    proxies: int = 20
    log_lines: int = 2000
    at_once: int = 8
    include: tuple[Selection, ...] = ()
    exclude: tuple[Selection, ...] = ()


class _Condition(msgspec.Struct):
    type: str = ""
    status: str = ""


class _Status(msgspec.Struct):
    conditions: tuple[_Condition, ...] = ()


class _Pod(msgspec.Struct):
    metadata: Meta
    spec: PodSpec
    status: _Status = msgspec.field(default_factory=_Status)


class Gathering:
    """Puts all that a cluster says into the archive, below the cluster's name.

    What is read is redacted in threads: an Envoy's configuration takes seconds, in which others would seem silent.
    """

    def __init__(self, archive: Archive, name: str, root: str, limits: Limits) -> None:
        self._archive, self._name, self._root, self._limits = archive, name, root, limits
        self._turns = asyncio.Semaphore(limits.at_once)

    async def of_cluster(self, kubeconfig: Path | None, context: str) -> None:
        """Asks one cluster; where it cannot be reached, that is said, and nothing is raised."""
        try:
            async with Client(access_to(kubeconfig, context or None)) as client:
                said = await client.request("GET", "/version")
                await to_thread(self._archive.text, f"{self._name}/version.json", said, is_json=True)
                await asyncio.gather(
                    self._objects(client), self._control_plane(client), self._sidecars(client)
                )
        except KubeError as error:
            self._archive.note(f"cluster {self._name}: {error}")

    async def _objects(self, client: Client) -> None:
        kinds = [kind for kind in KINDS if kind.name not in _UNREAD and kind.name != "ConfigMap"]
        await asyncio.gather(*(self._kind(client, kind) for kind in (*kinds, *_LOOKED_AT, *_WEBHOOKS)))

    async def _kind(self, client: Client, kind: Kind, scope: Scope | None = None, called: str = "") -> None:
        async def listed() -> None:
            for version in kind.versions:
                try:
                    listing = await client.list_all(kind.in_version(version), scope or Scope())
                except NotFound:
                    continue
                items = [_brief(msgspec.json.decode(each)) for each in listing.items]
                if items:
                    name = f"{self._name}/objects/{called or kind.plural}.yaml"
                    await to_thread(self._archive.tree, name, items)
                return

        await self._bounded(f"objects/{called or kind.plural}", listed)

    async def _control_plane(self, client: Client) -> None:
        pods = await self._pods(client, Scope(self._root))
        revisions = {pod.metadata.labels.get(LABEL) or DEFAULT for pod in pods if PILOT in _labels(pod)}
        names = [name + suffix(each) for name in _OF_REVISIONS for each in sorted(revisions | {DEFAULT})]
        await asyncio.gather(
            *(self._config_map(client, name) for name in (*_CONFIG_MAPS, *names)),
            *(self._own(client, pod) for pod in pods),
        )

    async def _config_map(self, client: Client, name: str) -> None:
        scope = Scope(self._root, fields=f"metadata.name={name}")
        maps = Kind("", ("v1",), "ConfigMap", "configmaps", Object)
        await self._kind(client, maps, scope, f"configmap-{name}")

    async def _own(self, client: Client, pod: _Pod) -> None:
        labels = _labels(pod)
        if PILOT in labels:
            await asyncio.gather(
                *(self._page(client, pod, MONITORING_PORT, page) for page in (*_PAGES, *_FURTHER_PAGES))
            )
        if CITADEL in labels:
            await asyncio.gather(*(self._page(client, pod, CITADEL_PORT, page) for page in _OF_OTHERS))
        if INJECTOR in labels:
            await asyncio.gather(*(self._page(client, pod, MONITORING_PORT, page) for page in _OF_OTHERS))
        await self._logs(client, pod)

    async def _sidecars(self, client: Client) -> None:
        pods = [each for each in await self._pods(client, Scope()) if _SIDECAR in _containers(each)]
        limits = self._limits
        pods = [each for each in pods if is_meant(each.metadata, limits.include, limits.exclude)]
        chosen = sorted(pods, key=lambda pod: (_is_ready(pod), pod.metadata.namespace, pod.metadata.name))
        for pod in chosen[limits.proxies :]:
            self._archive.note(f"cluster {self._name}: the Envoy of {_of(pod)} (hint: --max-proxies)")
        await asyncio.gather(*(self._sidecar(client, pod) for pod in chosen[: limits.proxies]))

    async def _sidecar(self, client: Client, pod: _Pod) -> None:
        await asyncio.gather(*(self._page(client, pod, ADMIN_PORT, page) for page in _OF_ENVOYS))
        if pod.metadata.namespace != self._root:
            await self._logs(client, pod, (_SIDECAR,))

    async def _pods(self, client: Client, scope: Scope) -> list[_Pod]:
        found: list[_Pod] = []

        async def listed() -> None:
            listing = await client.list_all(PODS, scope)
            found.extend(msgspec.json.decode(each, type=_Pod) for each in listing.items)

        await self._bounded(f"pods of {scope.namespace or 'all namespaces'}", listed)
        return found

    async def _page(self, client: Client, pod: _Pod, port: int, page: str) -> None:
        async def asked() -> None:
            meta = pod.metadata
            said = await fetch(client, meta.namespace, meta.name, port, f"/{page}")
            name = f"{self._name}/pods/{_of(pod)}/{page.partition('?')[0].replace('/', '-')}.txt"
            await to_thread(self._archive.text, name, said, is_json=said[:1] in {b"{", b"["})

        await self._bounded(f"{_of(pod)}:{port}/{page}", asked)

    async def _logs(self, client: Client, pod: _Pod, containers: Sequence[str] = ()) -> None:
        for container in containers or _containers(pod):

            async def read(container: str = container) -> None:
                query = {
                    "container": container,
                    "tailLines": str(self._limits.log_lines),
                    "timestamps": "true",
                }
                path = path_of(PODS, pod.metadata.namespace, pod.metadata.name, "log")
                said = await client.request("GET", path, query=query)
                name = f"{self._name}/pods/{_of(pod)}/{container}.log"
                await to_thread(self._archive.text, name, said)

            await self._bounded(f"log of {container} in {_of(pod)}", read)

    async def _bounded(self, what: str, job: Callable[[], Awaitable[None]]) -> None:
        """Does it, when it is its turn; what fails or takes too long is noted, and what there is not is not."""
        async with self._turns:
            try:
                async with asyncio.timeout(self._limits.one_s):
                    await job()
            except Forbidden as error:
                self._archive.note(f"cluster {self._name}: {what}: not allowed: {error}")
            except NotFound:
                return
            except (KubeError, TimeoutError, msgspec.MsgspecError) as error:
                self._archive.note(
                    f"cluster {self._name}: {what}: {str(error) or f'no answer in {self._limits.one_s:g} s'}"
                )


def _containers(pod: _Pod) -> tuple[str, ...]:
    native = tuple(each.name for each in pod.spec.init_containers if each.name == _SIDECAR)
    return (*native, *(each.name for each in pod.spec.containers))


def _labels(pod: _Pod) -> set[str]:
    return {f"{key}={value}" for key, value in pod.metadata.labels.items()}


def _is_ready(pod: _Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)


def _of(pod: _Pod) -> str:
    return f"{pod.metadata.namespace}.{pod.metadata.name}"


def _brief(item: dict[str, Any]) -> dict[str, Any]:
    """An object without what only its writers need."""
    meta = item.get("metadata", {})
    meta.pop("managedFields", None)
    (meta.get("annotations") or {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return item
