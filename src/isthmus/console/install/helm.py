"""What Helm has installed of ours, and what is said of it: two that change the same objects undo each other's work.

Source: Helm, `pkg/action/validate.go` (what says that an object is of a release), `pkg/storage/driver` (its records).
"""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote
from typing import Any, NamedTuple

from isthmus.console.install.cluster import InstalledCluster, Key, NotServed
from isthmus.console.install.labels import REVISION, ROLE, part_of
from isthmus.kube.client import Scope
from isthmus.kube.errors import NotFound

Json = dict[str, Any]
_NAME, _NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_SHOWN = (
    ("apps/v1", "Deployment"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("networking.istio.io/v1", "Gateway"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
)
"""Kinds of which each role has an object."""


class Release(NamedTuple):
    """A release of Helm, by its namespace and name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"Helm release {self.name} in namespace {self.namespace}"

    @property
    def words(self) -> str:
        """It, as commands of helm are told of it."""
        return f"{quote(self.name)} -n {quote(self.namespace)}"

    @property
    def records(self) -> str:
        """What kubectl is told to have Helm forget it, and leave the objects."""
        return f"kubectl delete secret -n {quote(self.namespace)} -l {quote(f'owner=helm,name={self.name}')}"


def release_of(found: Json) -> Release | None:
    """The release that an object of Isthmus, as it is there, says to be of; None: it is no release's."""
    meta = found["metadata"]
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    if labels.get("app.kubernetes.io/managed-by") != "Helm" or not part_of(found) or _NAME not in notes:
        return None
    return Release(notes.get(_NAMESPACE, ""), notes[_NAME])


def by_release(lives: Iterable[tuple[Key, Json | None]]) -> dict[Release, list[Key]]:
    """Which of these objects are of a release, in their order."""
    found: dict[Release, list[Key]] = {}
    for key, live in lives:
        if live is not None and (release := release_of(live)) is not None:
            found.setdefault(release, []).append(key)
    return found


async def refused(cluster: InstalledCluster, found: dict[Release, list[Key]]) -> list[str]:
    """Why the objects of these releases are not changed, and the mend: a line for each. Raises `KubeError`."""
    lines = []
    for release, keys in found.items():
        what = f"{keys[0]}{f' and {len(keys) - 1} more' if keys[1:] else ''}"
        if await _is_kept(cluster, release):
            hint = f"helm upgrade {release.words} changes it; to go on without Helm: {release.records}, then"
            lines.append(f"{what}: installed by {release} (hint: {hint} --force-conflicts)")
        else:
            hint = "--force-conflicts takes over what it left"
            lines.append(f"{what}: left by {release}, which Helm knows no more (hint: {hint})")
    return lines


async def taken_over(cluster: InstalledCluster, found: dict[Release, list[Key]]) -> list[str]:
    """What becomes of these releases, whose objects we have taken over. Raises `KubeError`."""
    return [
        f"{release} still has these objects: Helm 3 would delete them with it (hint: {release.records})"
        for release in found
        if await _is_kept(cluster, release)
    ]


async def _is_kept(cluster: InstalledCluster, release: Release) -> bool:
    """Whether Helm knows it, by the Secrets or ConfigMaps in which it keeps releases."""
    scope = Scope(release.namespace, labels=f"owner=helm,name={release.name}")
    for kind in ("Secret", "ConfigMap"):
        if any(True for _ in await cluster.each(Key("v1", kind, release.namespace, ""), scope)):
            return True
    return False


async def releases(cluster: InstalledCluster, role: str, namespace: str, revision: str) -> list[Release]:
    """The releases by which `role` of `revision` (empty: of none) is in `namespace`. Raises `KubeError`."""
    found: set[Release] = set()
    of = f"{REVISION}={revision}" if revision else f"!{REVISION}"
    for api_version, kind in _SHOWN:
        scoped = "" if kind == "CustomResourceDefinition" else namespace
        labels = f"app.kubernetes.io/managed-by=Helm,{ROLE}={role},{of}"
        try:
            each = await cluster.each(Key(api_version, kind, scoped, ""), Scope(scoped, labels=labels))
        except (NotServed, NotFound):  # not, or not any more: a kind goes while it is asked for
            continue
        found |= {release for one in each if (release := release_of(one)) is not None}
    return sorted(found)
