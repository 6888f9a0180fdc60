"""What `isthmus explain` knows of a running mesh: what proxies hold, and the objects of the clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from isthmus.api.resource import Ref
from isthmus.console.calls import Caller, Target, WrongCall, parts_of, resolve_name
from isthmus.console.control_plane import ask_envoy
from isthmus.console.drawn_mesh import draw
from isthmus.console.explain import Explainer
from isthmus.console.explain_dns import NameExplained, explained
from isthmus.console.explain_files import kind_of_proxy, proxy_of
from isthmus.console.explanations import Explanation
from isthmus.console.live_objects import Live, LiveCluster
from isthmus.console.named_pods import workload_named
from isthmus.console.proxy_names import pod_table
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access
from isthmus.model.endpoint import Locality
from isthmus.model.mesh import Mesh
from isthmus.model.proxy import Proxy, ProxyKind, proxy_from_node
from isthmus.model.workload import Workload
from isthmus.sidecar.dns_names import Names
from isthmus.translate.trace.held import Held, shown_by

_DUMP = "config_dump?include_eds"
_MOST_ASKED = 8

Pod = tuple[str, str, str]
"""Cluster, namespace and name."""
Dump = Mapping[str, object]


class FromProxies:
    """Satisfies `explain_source.Source`: the proxies that were asked, and the objects of the clusters."""

    def __init__(self, mesh: Mesh, dumps: Mapping[Pod, Dump]) -> None:
        self.mesh = mesh
        self.notes: tuple[str, ...] = ()
        self.lacked: dict[Pod, None] = {}
        """The pods whose proxies were asked for, and not known."""
        self._held = {pod: shown_by(dump) for pod, dump in dumps.items()}
        self._kinds = {pod: node_of(dump).kind for pod, dump in dumps.items()}

    def proxy(self, workload: Workload) -> Proxy:
        """The proxy, of the kind that it says it is."""
        known = self._kinds.get(pod_of(workload))
        return proxy_of(workload, known or kind_of_proxy(self.mesh, workload))

    def held(self, workload: Workload) -> Held | None:
        """What it said that it holds; None where it was not asked."""
        pod = pod_of(workload)
        if pod not in self._held:
            self.lacked[pod] = None
        return self._held.get(pod)

    def place(self, _: Ref, _path: str, /) -> str:
        """Nowhere: what runs has no file."""
        return ""


async def explain_live(
    live: Live, caller: str, target: Target, cluster: str = "", without: str = ""
) -> Explanation:
    """Where a call of the pod `caller` goes, by what the proxies on both sides hold.

    Of the other side, pods in the clusters of `live` are asked. Raises `KubeError`, and `WrongCall`.
    """
    mesh, workload = _mesh_and_pod(live, caller, cluster)
    pod = pod_of(workload)
    (dump,) = await ask_envoy(live[workload.cluster].access, *pod[1:], _DUMP)
    proxy = node_of(dump)
    dumps: dict[Pod, Dump] = {pod: dump}
    target = await _with_address(live[workload.cluster], mesh, proxy, target)
    asked = {pod}
    source = FromProxies(mesh, dumps)

    def explained(loss: str = "") -> Explanation:
        return Explainer(source, loss).explain("/".join(pod[1:]), target, workload.cluster)

    while True:
        source = FromProxies(mesh, dumps)
        found = explained(without)
        # The way on is known only once those that stand at it have been asked: a gateway, then who is behind it.
        more = [each for each in source.lacked if each not in asked][: _MOST_ASKED + 1 - len(asked)]
        if not more:
            return found.against(explained()) if without else found
        asked.update(more)
        answers = await asyncio.gather(*(asked_proxy(live, each) for each in more))
        dumps |= {each: answer for each, answer in zip(more, answers, strict=True) if answer is not None}


async def explain_name_live(live: Live, caller: str, name: str, cluster: str = "") -> NameExplained:
    """What a name means to the pod `caller`, as its agent says. Raises `KubeError`, and `WrongCall`."""
    _, workload = _mesh_and_pod(live, caller, cluster)
    access = live[workload.cluster].access
    return await _explained(access, workload.namespace, workload.name, name)


async def _explained(access: Access, namespace: str, pod: str, name: str) -> NameExplained:
    found = await pod_table(access, namespace, pod)
    names = Names(found.table, found.namespace, found.domain, found.search)
    return explained(pod, name, names, found.search)


def _mesh_and_pod(live: Live, name: str, cluster: str) -> tuple[Mesh, Workload]:
    mesh = draw([], {each: found.objects for each, found in live.items()}).generation.mesh
    return mesh, workload_named(mesh, name, cluster)


def pod_of(workload: Workload) -> Pod:
    """The pod of a workload."""
    return workload.cluster, workload.namespace, workload.name


async def _with_address(cluster: LiveCluster, mesh: Mesh, proxy: Proxy, target: Target) -> Target:
    """With what the caller's agent says of a host that its cluster does not know: others may have it."""
    _, host, _ = parts_of(target.url)
    known = resolve_name(mesh, Caller(proxy.cluster, proxy.namespace, network=proxy.network), host)
    if proxy.kind is ProxyKind.SIDECAR and known.service is None and not known.address:
        with suppress(KubeError, WrongCall):  # then it is for DNS outside to say
            said = await _explained(cluster.access, proxy.namespace, proxy.name, host)
            return msgspec.structs.replace(target, address="".join(said.addresses[:1]))
    return target


def node_of(dump: Dump) -> Proxy:
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


async def asked_proxy(live: Live, pod: Pod) -> Dump | None:
    """What the proxy beside a pod says that it holds; None where there is none to ask."""
    cluster, namespace, name = pod
    if cluster not in live:
        return None
    try:
        (dump,) = await ask_envoy(live[cluster].access, namespace, name, _DUMP)
    except KubeError:
        return None
    found: Dump = dump
    return found
