"""What the parts of running clusters say of the certificates that they hold: Citadels, agents, and what is published.

All of it is asked through the Kubernetes API (ADR 0010), of those who really hold it, and nothing is a Secret.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.core.pod import PROXY
from isthmus.api.resource import Kind, Meta, Object
from isthmus.ca.denied import Denial
from isthmus.console.control_plane import access_to
from isthmus.console.denying import read_denied
from isthmus.console.programs import CITADEL, CITADEL_PORT, MONITORING_PORT, PILOT
from isthmus.kit.certified import Certified, certified_pem
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kit.x509 import InvalidCertificate
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.kubeconfig import Access
from isthmus.kube.pods import fetch
from isthmus.model.holdings import PAGE, CitadelHolding, Holding
from isthmus.model.names import ALONE
from isthmus.model.trust_held import TrustHeld

CONFIG_MAP, _KEY = "istio-ca-root-cert", "root-cert.pem"
_STATUS_PORT = 15020
_AT_ONCE = 32

_PODS = Kind("", ("v1",), "Pod", "pods", Object)
_CONFIG_MAPS = Kind("", ("v1",), "ConfigMap", "configmaps", ConfigMap)
_NAMESPACES = Kind("", ("v1",), "Namespace", "namespaces", Object, namespaced=False)

T = TypeVar("T")


class HeldByCitadel(msgspec.Struct, frozen=True, kw_only=True):
    """What the Citadel in a pod says; `error` where it says nothing."""

    pod: str
    said: CitadelHolding | None = None
    error: str = ""


class HeldByProxy(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent in a pod says; `error` where it says nothing."""

    namespace: str
    pod: str
    said: Holding | None = None
    error: str = ""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The roots that a namespace's pods get; `error` where the ConfigMap is missing or cannot be read."""

    namespace: str
    roots: tuple[Certified, ...] = ()
    error: str = ""


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy that is connected to a Pilot, in whichever cluster or outside of all, and what it told of itself."""

    cluster: str
    namespace: str
    pod: str
    end: float = 0.0
    """Of its certificate; 0 where it did not say."""


class HeldInCluster(msgspec.Struct, frozen=True, kw_only=True):
    """All that one cluster says."""

    name: str
    citadels: tuple[HeldByCitadel, ...] = ()
    published: tuple[Published, ...] = ()
    proxies: tuple[HeldByProxy, ...] = ()
    connected: tuple[Connected, ...] = ()
    """To the Pilots that run here."""
    denied: tuple[Denial, ...] = ()
    """Whom its Citadel signs nothing for, and which certificates are taken no more."""
    denied_error: str = ""
    """Why that is not known."""


class _Told(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    cluster: str = ""
    connected: bool = False
    held: TrustHeld | None = None


class _Trust(msgspec.Struct):
    proxies: tuple[_Told, ...] = ()


class _Variable(msgspec.Struct):
    name: str = ""
    value: str = ""


class _Container(msgspec.Struct):
    name: str = ""
    env: tuple[_Variable, ...] = ()


class _Spec(msgspec.Struct, rename="camel"):
    containers: tuple[_Container, ...] = ()
    init_containers: tuple[_Container, ...] = ()


class _Pod(msgspec.Struct):
    metadata: Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)

    def status_port(self) -> int | None:
        """Where its agent is asked; None where it has none."""
        for each in (*self.spec.containers, *self.spec.init_containers):
            if each.name == PROXY:
                return _status_port({one.name: one.value for one in each.env}.get("PROXY_CONFIG", ""))
        return None


async def held_in(kubeconfig: Path | None, contexts: Sequence[str], root: str) -> tuple[HeldInCluster, ...]:
    """What the clusters of these contexts say (none: the current one). Raises `KubeError`.

    Contexts that lead to one API server are one cluster. `root` is the namespace of the Citadels.
    """
    wanted: dict[str, tuple[str, Access]] = {}
    for context in contexts or [""]:
        access = access_to(kubeconfig, context or None)
        wanted.setdefault(access.server, (context or ALONE, access))
    return tuple(await asyncio.gather(*(_cluster(*each, root) for each in wanted.values())))


async def _cluster(context: str, access: Access, root: str) -> HeldInCluster:
    async with Client(access) as client:
        try:
            citadels = await _citadels(client, root)
            published = await _published(client)
            proxies = await _proxies(client)
            connected = await _connected(client, root)
            denied, denied_error = await _denied(client, root)
        except KubeError as error:
            raise KubeError(f'context "{context}": {error}') from error
    name = next((each.said.cluster for each in citadels if each.said is not None), context)
    return HeldInCluster(
        name=name,
        citadels=citadels,
        published=published,
        proxies=proxies,
        connected=connected,
        denied=denied,
        denied_error=denied_error,
    )


async def _citadels(client: Client, root: str) -> tuple[HeldByCitadel, ...]:
    pods = await _running(client, Scope(root, labels=CITADEL, fields="status.phase=Running"))

    async def asked(pod: _Pod) -> HeldByCitadel:
        said = await _ask(client, pod, CITADEL_PORT, CitadelHolding)
        name = pod.metadata.name
        if isinstance(said, str):
            return HeldByCitadel(pod=name, error=said)
        return HeldByCitadel(pod=name, said=said)

    return tuple(await asyncio.gather(*map(asked, pods)))


async def _proxies(client: Client) -> tuple[HeldByProxy, ...]:
    some = asyncio.Semaphore(_AT_ONCE)

    async def asked(pod: _Pod, port: int) -> HeldByProxy:
        meta = pod.metadata
        async with some:
            said = await _ask(client, pod, port, Holding)
        if isinstance(said, str):
            return HeldByProxy(namespace=meta.namespace, pod=meta.name, error=said)
        return HeldByProxy(namespace=meta.namespace, pod=meta.name, said=said)

    pods = [(pod, pod.status_port()) for pod in await _running(client, Scope(fields="status.phase=Running"))]
    return tuple(await asyncio.gather(*(asked(pod, port) for pod, port in pods if port is not None)))


async def _connected(client: Client, root: str) -> tuple[Connected, ...]:
    found: dict[tuple[str, str, str], Connected] = {}
    for pod in await _running(client, Scope(root, labels=PILOT, fields="status.phase=Running")):
        said = await _ask(client, pod, MONITORING_PORT, _Trust, "/debug/trust")
        for each in said.proxies if isinstance(said, _Trust) else ():
            if each.connected:
                end = each.held.end if each.held is not None else 0.0
                one = Connected(cluster=each.cluster, namespace=each.namespace, pod=each.name, end=end)
                found[each.cluster, each.namespace, each.name] = one
    return tuple(found.values())


async def _denied(client: Client, root: str) -> tuple[tuple[Denial, ...], str]:
    try:
        return await read_denied(client, root), ""
    except ValueError as error:
        return (), str(error)


async def _running(client: Client, scope: Scope) -> list[_Pod]:
    listing = await client.list_all(_PODS, scope)
    pods = [msgspec.json.decode(item, type=_Pod) for item in listing.items]
    return [pod for pod in pods if not pod.metadata.deletion_timestamp]


async def _ask(client: Client, pod: _Pod, port: int, kind: type[T], page: str = PAGE) -> T | str:
    """What the page of a pod says, or why it says nothing."""
    try:
        body = await fetch(client, pod.metadata.namespace, pod.metadata.name, port, page)
        return msgspec.json.decode(body, type=kind)
    except NotFound:
        return f"it has no page {page} (hint: it is of an older version)"
    except (KubeError, *UNREADABLE) as error:
        return str(error)


async def _published(client: Client) -> tuple[Published, ...]:
    listing = await client.list_all(_CONFIG_MAPS, Scope(fields=f"metadata.name={CONFIG_MAP}"))
    maps = [msgspec.json.decode(item, type=ConfigMap) for item in listing.items]
    texts = {each.metadata.namespace: each.data.get(_KEY, "") for each in maps}
    spaces = await client.list_all(_NAMESPACES)
    found = [msgspec.json.decode(item, type=Object).metadata for item in spaces.items]
    names = sorted(each.name for each in found if not each.deletion_timestamp)
    return tuple(_read(name, texts.get(name)) for name in names)


def _read(namespace: str, text: str | None) -> Published:
    if text is None:
        return Published(namespace=namespace, error=f"there is no ConfigMap {CONFIG_MAP}")
    try:
        return Published(namespace=namespace, roots=certified_pem(text.encode()))
    except InvalidCertificate as error:
        return Published(namespace=namespace, error=f"ConfigMap {CONFIG_MAP}, key {_KEY}: {error}")


def _status_port(config: str) -> int:
    try:
        port = json.loads(config or "{}").get("statusPort")
    except (ValueError, AttributeError):
        port = None
    return port if isinstance(port, int) and port > 0 else _STATUS_PORT
