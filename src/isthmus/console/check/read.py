"""Reads clusters for checks: each once, all at a time, and what cannot be read is noted and not raised."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.console.ca_clusters import citadels, running
from isthmus.console.check.api_server import TO_INSTALL, TO_LOOK
from isthmus.console.check.cluster import (
    CLUSTER,
    SIDECAR,
    Cluster,
    Json,
    Machine,
    Pilot,
    Right,
    labels,
    named,
)
from isthmus.console.check.reader import reads
from isthmus.console.check.tries import tries
from isthmus.console.control_plane import access_to
from isthmus.console.programs import MONITORING_PORT
from isthmus.console.reader_account import READER
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.pods import fetch, run

_NODES_ASKED = 20
"""Of so many nodes at the most a sidecar is asked what machine it is on."""


class Wanted(NamedTuple):
    """Objects of a kind. `scopes`: where they are looked for; the control plane's namespace is called `ROOT`."""

    kind: Kind
    scopes: tuple[Scope, ...] = (Scope(),)


ROOT = "{root}"


def _kind(group: str, version: str, name: str, plural: str, *, namespaced: bool = True) -> Kind:
    return Kind(group, (version,), name, plural, Object, namespaced=namespaced)


_ADMISSION = ("admissionregistration.k8s.io", "v1")
WANTED = (
    Wanted(_kind("", "v1", "Node", "nodes", namespaced=False)),
    Wanted(_kind("", "v1", "Namespace", "namespaces", namespaced=False)),
    Wanted(_kind("", "v1", "Pod", "pods")),
    Wanted(_kind("", "v1", "Service", "services")),
    Wanted(_kind("", "v1", "ResourceQuota", "resourcequotas")),
    Wanted(_kind("", "v1", "LimitRange", "limitranges")),
    Wanted(
        _kind("", "v1", "ConfigMap", "configmaps"),
        (
            Scope(ROOT),
            Scope("kube-system", fields="metadata.name=coredns"),
            Scope(fields="metadata.name=istio-ca-root-cert"),
        ),
    ),
    Wanted(_kind("", "v1", "Endpoints", "endpoints"), (Scope(ROOT),)),
    Wanted(_kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")),
    Wanted(_kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"), (Scope(ROOT),)),
    Wanted(_kind("coordination.k8s.io", "v1", "Lease", "leases"), (Scope(ROOT), Scope("kube-node-lease"))),
    Wanted(
        _kind(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            namespaced=False,
        )
    ),
    *(
        Wanted(
            _kind(
                *_ADMISSION,
                f"{what}WebhookConfiguration",
                f"{what.lower()}webhookconfigurations",
                namespaced=False,
            )
        )
        for what in ("Mutating", "Validating")
    ),
)
_REVIEWS = "/apis/authorization.k8s.io/v1"


async def clusters(
    kubeconfig: Path | None, contexts: Sequence[str], root: str, *, before_install: bool
) -> tuple[Cluster, ...]:
    """The clusters of these contexts (none: the current one). Raises `InvalidKubeconfig`."""
    accesses = {context: access_to(kubeconfig, context or None) for context in contexts or [""]}
    reading = Reading(root, before_install, SystemClock())
    return tuple(
        await asyncio.gather(
            *(reading.cluster(context, Client(access)) for context, access in accesses.items())
        )
    )


class Reading(NamedTuple):
    """How clusters are read."""

    root: str
    before_install: bool
    clock: Clock

    async def cluster(self, context: str, client: Client) -> Cluster:
        """The cluster, or why it cannot be read."""
        known = Cluster(name=context, context=context, server=client.access.server, root=self.root)
        async with client:
            try:
                version = msgspec.json.decode(await client.request("GET", "/version"))
            except (KubeError, msgspec.MsgspecError) as error:
                return replace(known, name=context or client.access.name or "cluster", error=str(error))
            here, there = self.clock.now(), client.told_at
            now = here if there is None else there
            objects, unread = await self._objects(client)
            objects["apigroups"] = await _groups(client, unread)
            pilots = () if self.before_install else await self._pilots(client)
            found = replace(
                known,
                name=await self._name(client, context, objects),
                version=str(version.get("gitVersion", "")),
                now=now,
                # The header has whole seconds: what is below one second is nobody's fault.
                ahead_s=now - here if abs(now - here) > 1 else 0.0,
                objects=objects,
                unread=unread,
                pilots=pilots,
            )
            found = replace(found, may=await self._rights(client, found))
            if self.before_install:
                return found
            machines, tried = await asyncio.gather(_machines(client, found), tries(client, found))
            return replace(found, machines=machines, tries=tried)

    async def _objects(self, client: Client) -> tuple[dict[str, tuple[Json, ...]], dict[str, str]]:
        unread: dict[str, str] = {}

        async def listed(wanted: Wanted) -> tuple[str, tuple[Json, ...]]:
            found: dict[tuple[str, str], Json] = {}
            try:
                for scope in wanted.scopes:
                    placed = msgspec.structs.replace(
                        scope, namespace=scope.namespace.replace(ROOT, self.root)
                    )
                    for item in (await client.list_all(wanted.kind, placed)).items:
                        each: Json = msgspec.json.decode(item)
                        found[each["metadata"].get("namespace", ""), named(each)] = each
            except NotFound:
                unread[wanted.kind.plural] = "the API server does not serve them"
            except KubeError as error:
                unread[wanted.kind.plural] = str(error)
            return wanted.kind.plural, tuple(found.values())

        return dict(await asyncio.gather(*map(listed, WANTED))), unread

    async def _name(self, client: Client, context: str, objects: dict[str, tuple[Json, ...]]) -> str:
        """As its Citadel calls it, else the label of the control plane's namespace, else the context."""
        try:
            said = await citadels(client, self.root)
        except KubeError:
            said = {}
        for citadel in said.values():
            if citadel is not None and citadel.cluster:
                return citadel.cluster
        for each in objects.get("namespaces", ()):
            if named(each) == self.root and labels(each).get(CLUSTER):
                return labels(each)[CLUSTER]
        return context or client.access.name or "cluster"

    async def _pilots(self, client: Client) -> tuple[Pilot, ...]:
        try:
            names = await running(client, self.root, "istio=pilot")
        except KubeError:
            return ()
        return tuple(await asyncio.gather(*(self._pilot(client, name) for name in names)))

    async def _pilot(self, client: Client, pod: str) -> Pilot:
        async def said(page: str) -> Any:
            return msgspec.json.decode(await fetch(client, self.root, pod, MONITORING_PORT, page))

        try:
            clusters = await said("/debug/clusters")
            return Pilot(
                pod=pod,
                version=str(clusters.get("release", "")),
                clusters=tuple(clusters["clusters"]),
                findings=tuple(clusters["findings"]),
                proxies=tuple(await said("/debug/proxies")),
            )
        except (KubeError, msgspec.MsgspecError, KeyError) as error:
            return Pilot(pod=pod, error=str(error))

    async def _rights(self, client: Client, cluster: Cluster) -> dict[Right, bool]:
        wanted = [*(TO_INSTALL if self.before_install else TO_LOOK)]
        if not self.before_install and cluster.is_installed:
            account = f"system:serviceaccount:{self.root}:{READER}"
            wanted += [
                Right(verb="list", group=group, resource=resource, account=account)
                for group, resource in reads()
            ]
        answers = await asyncio.gather(*(_may(client, right) for right in wanted))
        return {right: may for right, may in zip(wanted, answers, strict=True) if may is not None}


async def _groups(client: Client, unread: dict[str, str]) -> tuple[Json, ...]:
    """The versions of groups that are served, each as if it were an object."""
    try:
        found = msgspec.json.decode(await client.request("GET", "/apis"))
    except (KubeError, msgspec.MsgspecError) as error:
        unread["apigroups"] = str(error)
        return ()
    return tuple(
        {"metadata": {"name": version["groupVersion"]}}
        for group in found["groups"]
        for version in group["versions"]
    )


async def _may(client: Client, right: Right) -> bool | None:
    """Whether it may be done; None where the API server does not say."""
    resource, _, subresource = right.resource.partition("/")
    asked: Json = {
        "resourceAttributes": {
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": right.namespace,
            "name": right.name,
        }
    }
    kind = "SubjectAccessReview" if right.account else "SelfSubjectAccessReview"
    if right.account:
        asked["user"] = right.account
        asked["groups"] = ["system:serviceaccounts", "system:authenticated"]
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": asked}
    try:
        answer = await client.request("POST", f"{_REVIEWS}/{kind.lower()}s", body=body)
        return bool(msgspec.json.decode(answer)["status"]["allowed"])
    except (KubeError, msgspec.MsgspecError, KeyError):
        return None


async def _machines(client: Client, cluster: Cluster) -> tuple[Machine, ...]:
    """What nodes are like, by the word of a sidecar on each; those that do not say are left out."""
    by_node: dict[str, Json] = {}
    for pod in cluster.meshed():
        node = pod["spec"].get("nodeName")
        if node and len(by_node) < _NODES_ASKED:
            by_node.setdefault(str(node), pod)
    jobs: list[Awaitable[Machine | None]] = [_machine(client, node, pod) for node, pod in by_node.items()]
    return tuple(each for each in await asyncio.gather(*jobs) if each is not None)


async def _machine(client: Client, node: str, pod: Json) -> Machine | None:
    command = ["isthmus", "agent", "machine"]
    try:
        output = await run(client, pod["metadata"]["namespace"], named(pod), SIDECAR, command)
        said = json.loads(output.stdout) if not output.code else None
    except (KubeError, ValueError):
        return None
    return Machine(node=node, mtu=int(said["mtu"])) if said else None
