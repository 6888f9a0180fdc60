"""An installation is taken away: what its inventory says, the last ones first, and of that only what is still ours.

Kinds and namespaces stay, with all that users have of them, unless they are purged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from isthmus.console.install.applying import Role, Tell
from isthmus.console.install.cluster import InstalledCluster, Key, NotServed
from isthmus.console.install.helm import release_of, releases
from isthmus.console.install.inventory import inventory, inventory_key, kept_by_others, keys_in
from isthmus.console.install.labels import is_anyones, is_ours
from isthmus.console.install.order import rank
from isthmus.console.install.refusals import CannotInstall
from isthmus.console.revision_description import UnknownRevision, description
from isthmus.kube.client import Scope

Json = dict[str, Any]
_PURGED = {"Namespace", "CustomResourceDefinition"}
_SERVES = {"primary", "remote"}


class Removal(NamedTuple):
    """What would go, and what stays."""

    role: Role
    going: tuple[Key, ...]
    kept: tuple[Key, ...]  # until they are purged
    staying: tuple[str, ...]  # with the reason
    losses: tuple[str, ...]  # what users would lose with it


async def removal(cluster: InstalledCluster, role: Role, *, purge: bool) -> Removal:
    """What is to be taken away. Raises `CannotInstall` where nothing is known of such an installation, `KubeError`."""
    own = inventory_key(role.name, role.installation)
    held = await cluster.live(own)
    if held is None:
        raise CannotInstall(*await _unknown(cluster, role, own))
    shared = await kept_by_others(cluster, own)
    going: list[Key] = []
    staying: list[str] = []
    kept: list[Key] = []
    for key in sorted(keys_in(held), key=lambda each: (-rank(each.kind), each)):
        live = await cluster.live(key)
        if live is None:
            continue
        if key in shared:
            staying.append(f"{key}: another installation has it too")
        elif (release := release_of(live)) is not None:
            staying.append(f"{key}: {release} has it (hint: helm uninstall {release.words})")
        elif not (is_anyones(live) if key.kind in _PURGED else is_ours(live, role.name)):
            staying.append(f"{key}: its labels say that it is not ours any more")
        elif key.kind in _PURGED and not purge:
            kept.append(key)
            staying.append(f"{key}: with what users have of it (hint: isthmus uninstall {role.name} --purge)")
        else:
            going.append(key)
    losses = (*await _losses(cluster, going), *await _users(cluster, role))
    return Removal(role, tuple(going), tuple(kept), tuple(staying), losses)


async def _unknown(cluster: InstalledCluster, role: Role, own: Key) -> list[str]:
    """Why there is nothing to take away, and by whom it was put there."""
    if by_helm := await releases(cluster, role.name, own.namespace, role.installation.revision):
        return [f"{role.name}: installed by {each} (hint: helm uninstall {each.words})" for each in by_helm]
    found = await cluster.each(own, Scope(labels="install.isthmus.io/keeps=inventory"))
    names = sorted(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in found)
    there = f"there are {', '.join(names)}" if names else "nothing was installed with --apply"
    return [f"no inventory {own.namespace}/{own.name}: {there} (hint: what kubectl applied, kubectl deletes)"]


async def _losses(cluster: InstalledCluster, going: Iterable[Key]) -> tuple[str, ...]:
    """Objects of users that end with their kind or their namespace, counted."""
    found = []
    for key in going:
        if key.kind == "CustomResourceDefinition":
            definition = await cluster.live(key)
            if definition is None:
                continue
            spec = definition["spec"]
            of = Key(f"{spec['group']}/{spec['versions'][0]['name']}", spec["names"]["kind"], "", "")
            try:
                number = sum(1 for _ in await cluster.each(of, Scope()))
            except NotServed:
                continue
            if number:
                found.append(f"{number} {spec['names']['kind']}")
        elif key.kind == "Namespace":
            found.append(f"all that is in namespace {key.name}, Secrets of the CA too")
    return tuple(found)


async def _users(cluster: InstalledCluster, role: Role) -> tuple[str, ...]:
    """Who is still served by the revision that goes."""
    if role.name not in _SERVES:
        return ()
    installation = role.installation
    try:
        found = await description(cluster.client, installation.namespace, installation.label)
    except UnknownRevision:
        return ()
    lost = [f"tag {tag}, while it stands for it" for tag in found.revision.tags]
    for each in found.places:
        if each.asks_by:
            lost.append(f"the injector of namespace {each.namespace}, which says {each.asks_by}")
        if each.pods:
            lost.append(f"the control plane of {each.pods} pods in namespace {each.namespace}")
    return tuple(lost)


async def remove(cluster: InstalledCluster, todo: Removal, tell: Tell) -> None:
    """Take it away, its inventory last, so that who is interrupted can go on. Raises `KubeError`."""
    name, installation = todo.role
    own = inventory_key(name, installation)
    spaces = [each for each in todo.going if each.kind == "Namespace"]
    for key in (each for each in todo.going if each not in spaces):
        if await cluster.delete(key):
            tell(f"{key} deleted")
    if todo.kept:
        await cluster.apply(inventory(name, installation, todo.kept), force=True)
    else:
        await cluster.delete(own)
    for key in spaces:
        await cluster.delete(key)
        tell(f"{key} deleted")
