"""Parts of the mesh in a cluster that comes or goes, applied and taken away as `isthmus install` and `uninstall` do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from isthmus.console.install.applying import Plan, Role, carry_out, finish, look_ahead, owned, plan
from isthmus.console.install.cluster import InstalledCluster, Key
from isthmus.console.install.difference import differing
from isthmus.console.install.inventory import inventory, inventory_key
from isthmus.console.install.labels import KEEPS, REVISION, ROLE
from isthmus.console.install.order import is_last
from isthmus.console.install.readiness import until_ready
from isthmus.console.install.refusals import CannotInstall
from isthmus.console.install.removing import removal, remove
from isthmus.console.installation import InvalidInstallation, documents
from isthmus.console.membership.told import CannotGoOn
from isthmus.kube.client import Client, Scope
from isthmus.model.revision import DEFAULT

Json = dict[str, Any]
_CHANGES = {"created", "changed", "pruned"}
_DEPLOYMENTS = Key("apps/v1", "Deployment", "", "")
_WEBHOOKS = Key("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "")
_OURS = "app.kubernetes.io/part-of=isthmus"


class Parts(NamedTuple):
    """An installation that was looked at: what there is to do, and how it will be."""

    cluster: InstalledCluster
    role: Role
    todo: Plan
    ahead: Mapping[Key, Json]
    force: bool  # whether fields that others set are taken over

    @property
    def would_change(self) -> list[str]:
        """Each object that is not as it is wanted."""
        return [str(key) for key in differing(self.todo, self.ahead)]

    @property
    def is_new_here(self) -> bool:
        """Whether not even the namespace of the control plane is there."""
        return any(each.key.kind == "Namespace" and each.live is None for each in self.todo.planned)

    async def put_namespace(self) -> None:
        """Apply the namespace, and note it, for what has to be in it before parts are. Raises `KubeError`."""
        for each in self.todo.planned:
            if each.key.kind == "Namespace":
                await self.cluster.apply(each.wanted, force=self.force)
        known = owned(self.todo) | self.todo.known
        await self.cluster.apply(inventory(*self.role, known), force=True)

    async def put(self) -> list[str]:
        """Apply all that can be before parts are ready; returns what changed. Raises `CannotGoOn`, `KubeError`."""
        lines: list[str] = []
        try:
            await carry_out(self.cluster, self.role, self.todo, lines.append, force=self.force)
        except CannotInstall as error:
            raise CannotGoOn(str(error)) from error
        return _changed(lines)

    async def hindrances(self, limit_s: float) -> list[str]:
        """Waits until its Deployments are ready; what hinders them after `limit_s`. Raises `KubeError`."""
        deployments = [each.key for each in self.todo.planned if each.key.kind == "Deployment"]
        return await until_ready(self.cluster, deployments, limit_s)

    async def are_believed(self) -> bool:
        """Whether who is asked by a URL has told webhooks its roots, where it has to. Raises `KubeError`."""
        if not self.role.installation.injection_url:
            return True
        configurations = [each.key for each in self.todo.planned if is_last(each.key.kind)]
        lives = [await self.cluster.live(each) or {} for each in configurations]
        return all(
            each["clientConfig"].get("caBundle") for live in lives for each in live.get("webhooks") or ()
        )

    async def finish(self) -> list[str]:
        """Apply what calls parts that are ready now; returns what changed. Raises `CannotGoOn`, `KubeError`."""
        lines: list[str] = []
        try:
            await finish(self.cluster, self.role, self.todo, lines.append, force=self.force)
        except CannotInstall as error:
            raise CannotGoOn(str(error)) from error
        return _changed(lines)


async def look(client: Client, role: Role, *, force: bool) -> Parts:
    """What is to be done in a cluster. Raises `CannotGoOn` with all that its API server refuses, and `KubeError`."""
    cluster = InstalledCluster(client)
    try:
        todo = await plan(cluster, role, documents(role.name, role.installation))
        return Parts(cluster, role, todo, await look_ahead(cluster, todo, force=force), force)
    except (CannotInstall, InvalidInstallation) as error:
        raise CannotGoOn("\n".join(error.lines)) from error


class Brought:
    """The parts of a cluster that others put there, such as GitOps: known by their label, whoever applied them."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._cluster, self._namespace = InstalledCluster(client), namespace

    async def deployments(self) -> list[Key]:
        """Those that are there. Raises `KubeError`."""
        found = await self._cluster.each(_DEPLOYMENTS, Scope(self._namespace, labels=_OURS))
        return [
            _DEPLOYMENTS._replace(namespace=self._namespace, name=each["metadata"]["name"]) for each in found
        ]

    async def hindrances(self, deployments: list[Key], limit_s: float) -> list[str]:
        """Waits until they are ready; what hinders them after `limit_s`. Raises `KubeError`."""
        return await until_ready(self._cluster, deployments, limit_s)

    async def are_believed(self) -> bool:
        """Whether webhooks have roots, which who serves them writes once it runs. Raises `KubeError`."""
        found = await self._cluster.each(_WEBHOOKS, Scope(labels=_OURS))
        hooks = [hook for each in found for hook in each.get("webhooks") or ()]
        return all(hook.get("clientConfig", {}).get("caBundle") for hook in hooks)


class Taken(NamedTuple):
    """What was taken away, or would be, and what stays with the reason."""

    gone: list[str]
    staying: tuple[str, ...]


async def take(client: Client, role: Role, *, dry: bool) -> Taken | None:
    """Take away what was applied of a role, of whatever revision; None: nothing of it was. Raises `KubeError`."""
    cluster = InstalledCluster(client)
    like = inventory_key(*role)
    held = [*await cluster.each(like, Scope(like.namespace, f"{KEEPS}=inventory,{ROLE}={role.name}"))]
    gone: list[str] = []
    staying: list[str] = []
    for each in held:
        label = each["metadata"]["labels"][REVISION]
        of_it = Role(role.name, replace(role.installation, revision="" if label == DEFAULT else label))
        todo = await removal(cluster, of_it, purge=False)
        if not dry:
            await remove(cluster, todo, lambda _: None)
        gone += map(str, todo.going)
        staying += todo.staying
    return Taken(gone, tuple(staying)) if held else None


def _changed(lines: list[str]) -> list[str]:
    said = (line.rpartition(" ") for line in lines)
    return [name for name, _, what in said if what in _CHANGES]
