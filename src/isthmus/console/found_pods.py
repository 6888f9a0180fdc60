"""A running pod as a person names it, looked for in all clusters that are meant."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from isthmus.api.core.pod import Pod
from isthmus.console.control_plane import PODS, access_to
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access

_KINDS = frozenset(
    {"po", "pod", "pods", "deploy", "deployment", "deployments", "rs", "replicaset", "replicasets"}
    | {"sts", "statefulset", "statefulsets", "ds", "daemonset", "daemonsets", "job", "jobs"}
    | {"cj", "cronjob", "cronjobs"}
)


class FoundPod(NamedTuple):
    """Where a pod is."""

    context: str
    access: Access
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.name}.{self.namespace}"


class Said(NamedTuple):
    """A name and a namespace that it may mean."""

    namespace: str
    name: str


class Fit(NamedTuple):
    """A pod that is there."""

    pod: Said
    is_whole: bool  # no more than its name's beginning else


def meanings(words: str, namespace: str = "") -> list[Said]:
    """What `POD`, `POD.NAMESPACE`, `NAMESPACE/POD` or `deployment/NAME[.NAMESPACE]` may mean, the likeliest first."""
    before, slash, name = words.rpartition("/")
    if slash and before not in _KINDS:
        return [Said(before, name)]
    found = [Said(namespace or "default", name)]
    pod, dot, space = name.rpartition(".")
    if dot and not namespace:
        found.append(Said(space, pod))
    return found


async def find_pod(
    kubeconfig: Path | None, contexts: Sequence[str], words: str, namespace: str = ""
) -> FoundPod:
    """The pod that `words` mean, else the first whose name begins so, in the clusters of these contexts, in order.

    Raises `KubeError` where there is none, or a cluster that could have it cannot be asked.
    """
    accesses = {context: access_to(kubeconfig, context or None) for context in contexts or ("",)}
    said = meanings(words, namespace)
    found = await asyncio.gather(
        *(_in_cluster(each, said) for each in accesses.values()), return_exceptions=True
    )
    fits = [(*where, fit) for where, fit in zip(accesses.items(), found, strict=True) if isinstance(fit, Fit)]
    if fits:
        context, access, fit = min(fits, key=lambda each: not each[2].is_whole)
        return FoundPod(context, access, *fit.pod)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    raise no_pod(said)


async def _in_cluster(access: Access, said: Sequence[Said]) -> Fit | None:
    async with Client(access) as client:
        return await fitting(client, said)


async def fitting(client: Client, said: Sequence[Said]) -> Fit | None:
    """The pod of this cluster that is meant, the likeliest first. Raises `KubeError`."""
    for each in said:
        listing = await client.list_all(PODS, Scope(each.namespace))
        names = sorted(msgspec.json.decode(item, type=Pod).metadata.name for item in listing.items)
        if each.name in names:
            return Fit(each, is_whole=True)
        for name in names:
            if name.startswith(each.name):
                return Fit(Said(each.namespace, name), is_whole=False)
    return None


def no_pod(said: Sequence[Said]) -> KubeError:
    """The error for a pod that is nowhere."""
    where = " or ".join(repr(each.namespace) for each in said)
    return KubeError(f"no pod in namespace {where} is called {said[0].name}… (hint: kubectl get pods -A)")
