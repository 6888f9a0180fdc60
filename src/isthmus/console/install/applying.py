"""An installation is applied: looked at first, then object by object in order, and what it has no more is taken away.

Nothing is changed where the API server would refuse a part of it. Whoever is interrupted gives the command again:
what is there already is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from isthmus.admission.tags import is_silenced, silenced
from isthmus.api import crd
from isthmus.console.install.cluster import InstalledCluster, Key, NotServed, key_of
from isthmus.console.install.content import content
from isthmus.console.install.helm import Release, by_release, refused, taken_over
from isthmus.console.install.inventory import inventory, inventory_key, kept_by_others, keys_in
from isthmus.console.install.labels import is_ours
from isthmus.console.install.order import in_order, is_last, rank
from isthmus.console.install.refusals import CannotInstall, told
from isthmus.console.install.settings import Installation
from isthmus.kube.errors import KubeError, NotFound

Json = dict[str, Any]
Tell = Callable[[str], None]
_AT_ONCE = 8
_TRIES, _PAUSE_S = 100, 0.1
_STAY = {"Namespace", "CustomResourceDefinition"}
"""Kinds whose objects take others' with them: an installation that has them no more leaves them."""


class Planned(NamedTuple):
    """One object of an installation, as it is wanted and as it is there."""

    key: Key
    wanted: Json
    live: Json | None


class Plan(NamedTuple):
    """What an installation will do."""

    planned: tuple[Planned, ...]
    left: tuple[Key, ...]  # definitions of kinds that others brought: they are used as they are
    surplus: tuple[Key, ...]  # what an earlier one put there, and this one has no more
    known: frozenset[Key]  # what the inventory said before

    @property
    def of_helm(self) -> dict[Release, list[Key]]:
        """What is there by releases of Helm."""
        return by_release((each.key, each.live) for each in self.planned)


def owned(todo: Plan) -> set[Key]:
    """What this installation may take away one day: not the namespace that was there before it."""
    return {
        each.key
        for each in todo.planned
        if each.key.kind != "Namespace" or each.live is None or each.key in todo.known
    }


class Role(NamedTuple):
    """Which installation: its role, and its settings."""

    name: str
    installation: Installation


async def plan(cluster: InstalledCluster, role: Role, objects: Iterable[Json]) -> Plan:
    """What is to be done in the cluster. Raises `KubeError`."""
    wanted = in_order(objects)
    keys = [key_of(each) for each in wanted]
    lives = await _all_live(cluster, keys)
    wanted = [_as_silent(*each) for each in zip(wanted, lives, strict=True)]
    all_planned = [Planned(*each) for each in zip(keys, wanted, lives, strict=True)]
    left = tuple(each.key for each in all_planned if _is_others(each))
    planned = tuple(each for each in all_planned if each.key not in left)
    own = inventory_key(role.name, role.installation)
    known = keys_in(await cluster.live(own))
    gone = {each for each in known - set(keys) if each.kind not in _STAY}
    surplus = await _surplus(cluster, role, gone - await kept_by_others(cluster, own)) if gone else ()
    return Plan(planned, left, surplus, frozenset(known))


def _as_silent(wanted: Json, live: Json | None) -> Json:
    """`wanted`, silent where it is so while another revision is the default: that is not for an upgrade to end."""
    if wanted["kind"] == "MutatingWebhookConfiguration" and live is not None and is_silenced(live):
        return silenced(wanted, silent=True)
    return wanted


async def _all_live(cluster: InstalledCluster, keys: list[Key]) -> list[Json | None]:
    some = asyncio.Semaphore(_AT_ONCE)

    async def one(key: Key) -> Json | None:
        async with some:
            return await cluster.live(key)

    return list(await asyncio.gather(*map(one, keys)))


def _is_others(planned: Planned) -> bool:
    """Whether the definition of a kind was brought by somebody else, as Istio's own release."""
    is_definition = planned.key.kind == "CustomResourceDefinition"
    return is_definition and planned.live is not None and not crd.is_ours(planned.live)


async def _surplus(cluster: InstalledCluster, role: Role, keys: set[Key]) -> tuple[Key, ...]:
    """Those of `keys` that are there and still say that they are ours, the last ones first."""
    found = sorted(keys, key=lambda each: (-rank(each.kind), each))
    lives = await _all_live(cluster, found)
    return tuple(
        key for key, live in zip(found, lives, strict=True) if live is not None and is_ours(live, role.name)
    )


async def look_ahead(cluster: InstalledCluster, todo: Plan, *, force: bool) -> dict[Key, Json]:
    """Each object as it would be. Raises `CannotInstall` with all that the API server refuses, and `KubeError`.

    What stands in a namespace or is of a kind that is yet to be made cannot be asked about: it is as it is wanted.
    Where Helm has installed it, that is all that is said.
    """
    if not force and (by_helm := await refused(cluster, todo.of_helm)):
        raise CannotInstall(*by_helm)
    some = asyncio.Semaphore(_AT_ONCE)
    kinds, namespaces = _to_be_made(todo)
    lines: list[str] = []

    async def one(each: Planned) -> Json:
        async with some:
            try:
                return await cluster.apply(each.wanted, force=force, dry=True)
            except (NotServed, NotFound) as error:
                if each.key.namespace not in namespaces and (each.key.kind not in kinds):
                    lines.extend(told(each.key, error))
            except KubeError as error:
                lines.extend(told(each.key, error))
            return each.wanted

    found = await asyncio.gather(*map(one, todo.planned))
    if lines:
        raise CannotInstall(*lines)
    return {each.key: one for each, one in zip(todo.planned, found, strict=True)}


def _to_be_made(todo: Plan) -> tuple[set[str], set[str]]:
    kinds = {
        each.wanted["spec"]["names"]["kind"]
        for each in todo.planned
        if each.key.kind == "CustomResourceDefinition" and each.live is None
    }
    namespaces = {
        each.key.name for each in todo.planned if each.key.kind == "Namespace" and each.live is None
    }
    return kinds, namespaces


async def carry_out(cluster: InstalledCluster, role: Role, todo: Plan, tell: Tell, *, force: bool) -> None:
    """Apply all that can be before parts of it are ready, and say of each object what became of it.

    Raises `CannotInstall`, `KubeError`.
    """
    keys = owned(todo)
    noted = False
    for each in todo.planned:
        if is_last(each.key.kind):
            continue
        if not noted and each.key.kind != "Namespace":
            noted = True
            await cluster.apply(inventory(role.name, role.installation, keys | todo.known), force=True)
        await _apply(cluster, each, tell, force=force)
    for key in todo.left:
        tell(f"{key} left, it is not ours")
    for line in await taken_over(cluster, todo.of_helm):
        tell(line)


async def finish(cluster: InstalledCluster, role: Role, todo: Plan, tell: Tell, *, force: bool) -> None:
    """Apply what calls parts that are ready now, and take away what is no part any more.

    Raises `CannotInstall`, `KubeError`.
    """
    for each in todo.planned:
        if is_last(each.key.kind):
            await _apply(cluster, each, tell, force=force)
    for key in todo.surplus:
        if await cluster.delete(key):
            tell(f"{key} pruned")
    # A definition that others brought is none of ours, so that to uninstall leaves it.
    stay = {each for each in todo.known if each.kind in _STAY} - set(todo.left)
    keys = owned(todo) | stay
    await cluster.apply(inventory(role.name, role.installation, keys), force=True)


async def _apply(cluster: InstalledCluster, each: Planned, tell: Tell, *, force: bool) -> None:
    try:
        done = await _when_served(cluster, each.wanted, force=force)
        if each.key.kind == "CustomResourceDefinition":
            await _established(cluster, each.key)
    except (KubeError, NotServed) as error:
        raise CannotInstall(*told(each.key, error)) from error
    same = each.live is not None and content(each.live) == content(done)
    tell(f"{each.key} {'unchanged' if same else 'created' if each.live is None else 'changed'}")


async def _when_served(cluster: InstalledCluster, wanted: Json, *, force: bool) -> Json:
    """As `apply`, with patience for a kind that was only just defined."""
    for _ in range(_TRIES):
        try:
            return await cluster.apply(wanted, force=force)
        except NotServed:
            await asyncio.sleep(_PAUSE_S)
    return await cluster.apply(wanted, force=force)


async def _established(cluster: InstalledCluster, key: Key) -> None:
    for _ in range(_TRIES):
        conditions = ((await cluster.live(key) or {}).get("status") or {}).get("conditions") or ()
        if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
            return
        await asyncio.sleep(_PAUSE_S)
    raise CannotInstall(f"{key}: is not established (hint: kubectl describe crd {key.name})")
