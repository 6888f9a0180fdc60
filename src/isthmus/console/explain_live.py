"""What `isthmus explain` knows of a running mesh: what proxies hold, and the objects of one cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from isthmus.api import KINDS
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Kind, Object, Ref
from isthmus.console.calls import Caller, Target, WrongCall, parts_of, resolve_name
from isthmus.console.control_plane import ask_envoy
from isthmus.console.explain import Explainer
from isthmus.console.explain_files import proxy_of
from isthmus.console.explanations import Explanation
from isthmus.console.proxy_names import explain_live_name
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.kubeconfig import Access
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.endpoint import Locality
from isthmus.model.mesh import Mesh, MeshSettings
from isthmus.model.proxy import Proxy, ProxyKind, proxy_from_node
from isthmus.model.workload import Workload
from isthmus.translate.trace.held import Held, shown_by

_DUMP = "config_dump?include_eds"
_UNREAD = frozenset({"Secret", "ConfigMap"})
_MOST_ASKED = 8

Pod = tuple[str, str]
"""Namespace and name."""


class FromProxies:
    """Satisfies `explain_source.Source`: the proxies that were asked, and the objects of their cluster."""

    def __init__(self, mesh: Mesh, dumps: Mapping[Pod, Mapping[str, object]]) -> None:
        self.mesh = mesh
        self.notes: tuple[str, ...] = ()
        self._held = {pod: shown_by(dump) for pod, dump in dumps.items()}
        self._kinds = {pod: node_of(dump).kind for pod, dump in dumps.items()}

    def proxy(self, workload: Workload) -> Proxy:
        """The proxy, of the kind that it says it is."""
        return proxy_of(workload, self._kinds.get((workload.namespace, workload.name), ProxyKind.SIDECAR))

    def held(self, workload: Workload) -> Held | None:
        """What it said that it holds; None where it was not asked."""
        return self._held.get((workload.namespace, workload.name))

    def place(self, _: Ref, _path: str, /) -> str:
        """Nowhere: what runs has no file."""
        return ""


async def explain_live(access: Access, caller: str, target: Target, without: str = "") -> Explanation:
    """Where a call of the pod `caller` goes, by what the proxies on both sides hold.

    Of the other side, pods in the cluster of `access` are asked. Raises `KubeError`, and `WrongCall`.
    """
    namespace, _, name = caller.rpartition("/")
    (dump,) = await ask_envoy(access, namespace or "default", name, _DUMP)
    proxy = node_of(dump)
    async with Client(access) as client:
        mesh = mesh_of(proxy, [each for kind in KINDS for each in await _objects(client, kind)])
    dumps: dict[Pod, Mapping[str, object]] = {(proxy.namespace, proxy.name): dump}
    pod = f"{proxy.namespace}/{proxy.name}"
    target = await _with_address(access, mesh, proxy, target)
    first = Explainer(FromProxies(mesh, dumps), without).explain(pod, target)
    for other in _others(first, proxy):
        if other not in dumps and len(dumps) <= _MOST_ASKED:
            found = await _asked(access, other)
            if found is not None:
                dumps[other] = found
    return Explainer(FromProxies(mesh, dumps), without).explain(pod, target)


async def _with_address(access: Access, mesh: Mesh, proxy: Proxy, target: Target) -> Target:
    """With what the caller's agent says of a host that its cluster does not know: others may have it."""
    _, host, _ = parts_of(target.url)
    known = resolve_name(mesh, Caller(proxy.cluster, proxy.namespace), host)
    if proxy.kind is ProxyKind.SIDECAR and known.service is None and not known.address:
        with suppress(KubeError, WrongCall):  # then it is for DNS outside to say
            said = await explain_live_name(access, f"{proxy.namespace}/{proxy.name}", host)
            return msgspec.structs.replace(target, address="".join(said.addresses[:1]))
    return target


def node_of(dump: Mapping[str, object]) -> Proxy:
    """Who an Envoy says it is. Raises `WrongCall` where it is no proxy of a mesh."""
    configs: Any = dump.get("configs", ())
    for section in configs:
        if str(section.get("@type", "")).endswith(".BootstrapConfigDump"):
            node = section["bootstrap"].get("node", {})
            where = node.get("locality", {})
            place = Locality(where.get("region", ""), where.get("zone", ""), where.get("sub_zone", ""))
            try:
                return proxy_from_node(str(node.get("id", "")), node.get("metadata", {}), place)
            except ValueError as error:
                raise WrongCall(str(error)) from error
    raise WrongCall("the proxy does not say who it is")


def mesh_of(proxy: Proxy, objects: Iterable[tuple[Ref, Object]]) -> Mesh:
    """The mesh as the proxy's own cluster alone would make it: for names, addresses and rules."""
    builder = MeshBuilder(MeshSettings(config_cluster=proxy.cluster, domain=proxy.domain))
    return builder.apply([Change(ChangeKey(proxy.cluster, ref), value) for ref, value in objects]).mesh


async def _objects(client: Client, kind: Kind) -> list[tuple[Ref, Object]]:
    """All objects of a kind; none where the cluster has no such kind, or they are of no use here."""
    if kind.name in _UNREAD:
        return []
    items: list[msgspec.Raw] = []
    for version in kind.versions:
        with suppress(NotFound):
            items = (await client.list_all(kind.in_version(version))).items
            break
    found = []
    for item in items:
        try:
            value = decode(kind, msgspec.Raw(item))
        except InvalidConfig:
            continue  # it has no effect on proxies either
        found.append((kind.ref(value.metadata), value))
    return found


def _others(first: Explanation, proxy: Proxy) -> list[Pod]:
    """The pods behind the endpoints, in the proxy's own cluster."""
    found = []
    for each in first.arrivals:
        namespace, _, name = each.workload.partition("/")
        if name and (namespace, name) != (proxy.namespace, proxy.name):
            found.append((namespace, name))
    return list(dict.fromkeys(found))


async def _asked(access: Access, pod: Pod) -> Mapping[str, object] | None:
    """What the proxy beside a pod holds; None where there is none to ask."""
    try:
        (dump,) = await ask_envoy(access, *pod, _DUMP)
    except KubeError:
        return None
    found: Mapping[str, object] = dump
    return found
