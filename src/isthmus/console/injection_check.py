"""Would a pod have a sidecar if it were made now: who is asked, who says yes, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from isthmus.api.resource import Kind, Object
from isthmus.console.control_plane import PODS
from isthmus.console.found_pods import Said, fitting, meanings, no_pod
from isthmus.console.injection_reasons import Answer, New, answers, why_not
from isthmus.console.injectors import Injector, injectors, settings_of
from isthmus.console.revision_description import revision_in
from isthmus.console.revisions import NAMESPACES
from isthmus.kube.client import Client
from isthmus.kube.errors import KubeError, NotFound
from isthmus.sidecar.inject.manifest import InvalidManifest, pod_in
from isthmus.sidecar.inject.patch import without_sidecar
from isthmus.sidecar.inject.pod import Pod
from isthmus.sidecar.inject.rules import decide, policy_in
from isthmus.sidecar.inject.settings import InjectorConfig, InjectSettings
from isthmus.sidecar.inject.status import STATUS

Json = dict[str, Any]
_SILENT = InjectorConfig()


def _kind(group: str, name: str) -> Kind:
    return Kind(group, ("v1",), name, f"{name.lower()}s", Object)


_KINDS: Mapping[str, Kind] = {
    word: kind
    for words, kind in {
        "deploy deployment deployments": _kind("apps", "Deployment"),
        "rs replicaset replicasets": _kind("apps", "ReplicaSet"),
        "sts statefulset statefulsets": _kind("apps", "StatefulSet"),
        "ds daemonset daemonsets": _kind("apps", "DaemonSet"),
        "job jobs": _kind("batch", "Job"),
        "cj cronjob cronjobs": _kind("batch", "CronJob"),
    }.items()
    for word in words.split()
}
OF_NAMESPACES = {"ns", "namespace", "namespaces"}


class Wanted(NamedTuple):
    """What is asked about: an object by its name, or a pod with these labels in a namespace."""

    words: str
    namespace: str
    labels: Mapping[str, str]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the pod by one injector."""

    webhook: str
    revision: str
    tag: str
    injects: bool | None
    """None: that cannot be told from here."""
    why: str
    hooks: tuple[Answer, ...]
    """Its webhooks, each by itself."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the pod in one cluster."""

    context: str
    object: str
    now: str = ""
    """The revision of the sidecar that a running pod has; empty: none, or it is no running pod."""
    verdicts: tuple[Verdict, ...]

    @property
    def injecting(self) -> tuple[Verdict, ...]:
        """Who puts a sidecar in; of several the last one's stays."""
        return tuple(each for each in self.verdicts if each.injects)


class Injection(NamedTuple):
    """Who injects in a cluster, and what of sidecars is set there, by revisions."""

    injectors: Sequence[Injector]
    settings: Mapping[str, InjectSettings]


async def injection_in(client: Client, root: str) -> Injection:
    """That of a cluster. Raises `KubeError`."""
    known = await injectors(client)
    return Injection(known, await settings_of(client, root, {each.revision for each in known}))


async def check(client: Client, context: str, root: str, wanted: Wanted) -> Checked:
    """What becomes of the pod in this cluster. Raises `KubeError`, also where the object is not there."""
    found = await _found(client, wanted)
    namespace = await _namespace(client, found.pod.namespace)
    made = verdicts(await injection_in(client, root), found.pod, namespace)
    return Checked(context=context, object=found.called, now=found.now, verdicts=made)


def verdicts(injection: Injection, pod: Pod, namespace: Mapping[str, str]) -> tuple[Verdict, ...]:
    """What becomes of the pod by each injector, were it made now, in a namespace with these labels."""
    bare, settings = without_sidecar(pod), injection.settings
    return tuple(_verdict(each, bare, namespace, settings.get(each.revision)) for each in injection.injectors)


def _verdict(
    injector: Injector, pod: Pod, namespace: Mapping[str, str], settings: InjectSettings | None
) -> Verdict:
    shown = {"apiVersion": "v1", "kind": "Pod", "metadata": pod.metadata, "spec": pod.spec}
    found = answers(injector, New(shown, pod.namespace, namespace))
    injects, why = _decided(injector, found, pod, namespace, settings)
    return Verdict(
        webhook=injector.name,
        revision=injector.revision,
        tag=injector.tag,
        injects=injects,
        why=why,
        hooks=tuple(found),
    )


def _decided(
    injector: Injector,
    found: list[Answer],
    pod: Pod,
    namespace: Mapping[str, str],
    settings: InjectSettings | None,
) -> tuple[bool | None, str]:
    """Whether it puts a sidecar in: it must be asked, and then say yes."""
    asked = next((each for each in found if each.asked), None)
    if asked is None:
        open_ = next((each for each in found if each.asked is None), None)
        return (None, "; ".join(open_.why)) if open_ else (False, why_not(injector, found))
    config = settings.injector if settings is not None else _SILENT
    decision = decide(pod, policy_in(namespace, pod.labels, config.policy), config)
    return decision.inject, "; ".join(asked.why) if decision.inject else f"is asked, and {decision.reason}"


async def _namespace(client: Client, name: str) -> Mapping[str, str]:
    try:
        found = await client.get(NAMESPACES, "", name)
    except NotFound as error:
        raise KubeError(f"there is no namespace {name!r} (hint: kubectl get namespaces)") from error
    return found["metadata"].get("labels") or {}


class _Found(NamedTuple):
    """The pod, and what it is called; a running one with the revision of its sidecar."""

    called: str
    pod: Pod
    now: str = ""


async def _found(client: Client, wanted: Wanted) -> _Found:
    before, _, name = wanted.words.rpartition("/")
    if not wanted.words or before in OF_NAMESPACES:
        place = name or wanted.namespace or "default"
        said = ",".join(f"{key}={value}" for key, value in wanted.labels.items())
        about = f"labels {said}" if said else "no labels"
        return _Found(f"namespace {place}, {about}", plain_pod(place, wanted.labels))
    meant = meanings(wanted.words, wanted.namespace)
    if kind := _KINDS.get(before):
        return await _of_kind(client, kind, meant)
    return await _running(client, meant)


async def _of_kind(client: Client, kind: Kind, meant: list[Said]) -> _Found:
    for each in meant:
        try:
            found = await client.get(kind, each.namespace, each.name)
        except NotFound:
            continue
        return _Found(f"{kind.name} {each.namespace}/{each.name}", as_pod(found, kind.name))
    where = " or ".join(repr(each.namespace) for each in meant)
    hint = f"(hint: kubectl get {kind.plural} -A)"
    raise KubeError(f"no {kind.name} in namespace {where} is called {meant[0].name} {hint}")


async def _running(client: Client, meant: list[Said]) -> _Found:
    fit = await fitting(client, meant)
    if fit is None:
        raise no_pod(meant)
    pod = as_pod(await client.get(PODS, *fit.pod))
    return _Found(f"Pod {fit.pod.namespace}/{fit.pod.name}", pod, sidecar_of(pod))


def plain_pod(namespace: str, labels: Mapping[str, str]) -> Pod:
    """A pod of which no more is known."""
    return Pod({"name": "new", "labels": dict(labels)}, {"containers": []}, namespace, "", "")


def sidecar_of(pod: Pod) -> str:
    """The revision of the sidecar that a pod has; empty: it has none."""
    status = pod.annotations.get(STATUS)
    return revision_in(status) if status else ""


def as_pod(found: Json, kind: str = "Pod") -> Pod:
    """The pod that an object of a cluster is, or makes. Raises `KubeError`."""
    try:
        return pod_in({**found, "kind": kind}, found["metadata"]["namespace"])
    except InvalidManifest as error:
        raise KubeError(str(error)) from error
