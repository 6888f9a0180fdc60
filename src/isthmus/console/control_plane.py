"""Pilot and the proxies, asked through the Kubernetes API: no port of theirs need be reachable from here (ADR 0010)."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec

from isthmus.api.core.pod import Pod
from isthmus.api.resource import Kind
from isthmus.console.programs import ADMIN_PORT, MONITORING_PORT, PILOT
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access, Impersonation, contexts_in, from_files
from isthmus.kube.pods import fetch, run
from isthmus.model.revision import DEFAULT, LABEL
from isthmus.settings import kubeconfig_paths

PODS = Kind("", ("v1",), "Pod", "pods", Pod)
FIRST = "where there is none yet: isthmus install primary --cluster NAME --apply"
"""What is to be done before a Pilot can be asked."""


IMPERSONATED: ContextVar[Impersonation | None] = ContextVar("IMPERSONATED", default=None)
"""As whom a command asks all API servers, where it was told so by --as; None: as kubeconfigs say."""


def access_to(kubeconfig: Path | None, context: str | None) -> Access:
    """The access that the user means: the given file or kubectl's, the given context or the current one."""
    access = from_files(_files(kubeconfig), context)
    wanted = IMPERSONATED.get()
    if wanted is not None and not wanted.user:
        raise KubeError("--as-group: of whom? (hint: --as USER beside it)")
    return access if wanted is None else msgspec.structs.replace(access, impersonation=wanted)


def contexts_of(kubeconfig: Path | None) -> tuple[str, ...]:
    """All contexts of the given file or kubectl's, the current one first. Raises `InvalidKubeconfig`."""
    return contexts_in(_files(kubeconfig))


def _files(kubeconfig: Path | None) -> tuple[Path, ...]:
    return (kubeconfig,) if kubeconfig else kubeconfig_paths()


async def ask_pilot(kubeconfig: Path | None, context: str | None, namespace: str, path: str) -> Any:
    """What a running Pilot answers to `GET path` on its monitoring port, decoded from JSON."""
    async with Client(access_to(kubeconfig, context)) as client:
        pod = await running_pod(client, namespace, PILOT)
        return msgspec.json.decode(await fetch(client, namespace, pod, MONITORING_PORT, path))


async def running_pod(client: Client, namespace: str, labels: str) -> str:
    """The name of a running pod with these labels. Raises `KubeError` where there is none."""
    return (await running_pods(client, namespace, labels))[0]


class NoPod(KubeError):
    """There is no such pod at all: none runs, and none is about to."""


async def running_pods(client: Client, namespace: str, labels: str, revision: str = "") -> list[str]:
    """The names of all running pods with these labels; of one revision of the control plane, or of all.

    Raises `KubeError` where none runs, `NoPod` where none is.
    """
    listing = await client.list_all(PODS, Scope(namespace, labels=labels))
    found = [msgspec.json.decode(item, type=Pod) for item in listing.items]
    pods = [each for each in found if not revision or revision_of(each) == revision]
    running = [each.metadata for each in pods if each.status.phase == "Running"]
    if names := [each.name for each in running if not each.deletion_timestamp]:
        return names
    error = KubeError if pods else NoPod
    which = f"{labels} of revision {revision!r}" if revision else labels
    others = ", ".join(sorted({revision_of(each) for each in found})) if revision else ""
    first = f"; {FIRST}" if labels == PILOT else ""
    hint = f"there are: {others}" if others else f"choose Pilot's cluster by --context{first}"
    raise error(
        f"no pod with {which} runs in namespace {namespace!r} of {client.access.server} (hint: {hint})"
    )


def revision_of(pod: Pod) -> str:
    """Of the control plane whose program runs in it."""
    return pod.metadata.labels.get(LABEL) or DEFAULT


async def ask_envoy(access: Access, namespace: str, pod: str, *paths: str) -> list[Any]:
    """What the Envoy beside a pod answers on its admin port, decoded from JSON, one answer for each path.

    `pod` may be the beginning of a pod's name.
    """
    async with Client(access) as client:
        name = await _pod_named(client, namespace, pod)
        said = [await fetch(client, namespace, name, ADMIN_PORT, f"/{path}") for path in paths]
    return [msgspec.json.decode(each) for each in said]


async def ask_agent(access: Access, namespace: str, pod: str, *words: str) -> Any:
    """What `isthmus agent WORDS` prints beside a pod, decoded from JSON. `pod` may be the beginning of its name."""
    async with Client(access) as client:
        name = await _pod_named(client, namespace, pod)
        output = await run(client, namespace, name, "istio-proxy", ["isthmus", "agent", *words])
        if output.code:
            raise KubeError(f"{namespace}/{name}: {output.stderr.decode(errors='replace').strip()}")
        return msgspec.json.decode(output.stdout)


async def _pod_named(client: Client, namespace: str, beginning: str) -> str:
    listing = await client.list_all(PODS, Scope(namespace))
    names = [msgspec.json.decode(item, type=Pod).metadata.name for item in listing.items]
    if beginning in names:
        return beginning
    found = sorted(name for name in names if name.startswith(beginning))
    if not found:
        raise KubeError(
            f"no pod in namespace {namespace!r} is called {beginning}… (hint: kubectl get pods -A)"
        )
    return found[0]
