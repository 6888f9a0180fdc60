"""How `isthmus install` and `uninstall` reach a cluster, and what they say while they change it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from isthmus.console.cli.durations import DURATION
from isthmus.console.cli.options import CONTEXT, KUBECONFIG, F, with_options
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.install.applying import Plan, Role
    from isthmus.console.install.cluster import InstalledCluster

T = TypeVar("T")
Json = dict[str, Any]
_DIFFERS, _FAILED = 1, 2
"""As `kubectl diff` ends."""
_CLUSTER = (CONTEXT, KUBECONFIG)
_APPLY = (
    click.option("--apply", "applied", is_flag=True, help="apply to the cluster instead of printing"),
    click.option(
        "--dry-run",
        is_flag=True,
        help="show what --apply would change; ends with 1 where that is anything",
    ),
    click.option(
        "--force-conflicts", "force", is_flag=True, help="take over fields that others set to something else"
    ),
    click.option("--no-wait", is_flag=True, help="do not wait until what was applied is ready"),
    click.option(
        "--timeout",
        type=DURATION,
        default="5m",
        show_default=True,
        help="how long to wait until all is ready",
    ),
)


def cluster_flags(command: F) -> F:
    """Gives a command the flags by which it finds the cluster."""
    return with_options(_CLUSTER)(command)


def apply_flags(command: F) -> F:
    """Gives a command the flags that decide whether and how it changes a cluster."""
    return with_options((*_APPLY, *_CLUSTER))(command)


def into_cluster(role: Role, objects: list[Json], flags: dict[str, Any]) -> None:
    """Apply `objects`, or show what that would change, as the flags say; ends with an error where it cannot."""
    if flags["dry_run"]:
        sys.exit(_DIFFERS if in_cluster(flags, lambda cluster: _shown(cluster, role, objects)) else 0)
    in_cluster(flags, lambda cluster: _applied(cluster, role, objects, flags))


def in_cluster(flags: dict[str, Any], job: Callable[[InstalledCluster], Coroutine[Any, Any, T]]) -> T:
    """What `job` returns, done with the cluster that the flags mean; ends with an error where it cannot be."""
    import uvloop

    from isthmus.console.control_plane import access_to
    from isthmus.console.install.cluster import InstalledCluster
    from isthmus.console.install.refusals import CannotInstall
    from isthmus.kube.client import Client

    async def run() -> T:
        async with Client(access_to(flags["kubeconfig"], flags["context"])) as client:
            return await job(InstalledCluster(client))

    try:
        return uvloop.run(run())
    except CannotInstall as error:
        fail("\n".join(error.lines), _FAILED)
    except KubeError as error:
        fail(str(error), _FAILED)


async def _shown(cluster: InstalledCluster, role: Role, objects: list[Json]) -> bool:
    from isthmus.console.install.applying import look_ahead, plan
    from isthmus.console.install.difference import differences
    from isthmus.console.install.refusals import CannotInstall

    todo = await plan(cluster, role, objects)
    found = list(differences(todo, await look_ahead(cluster, todo, force=True)))
    for each in found:
        click.echo(each)
    try:
        await look_ahead(cluster, todo, force=False)
    except CannotInstall as error:
        click.echo("\n".join(f"in the way: {line}" for line in error.lines), err=True)
    return bool(found)


async def _applied(cluster: InstalledCluster, role: Role, objects: list[Json], flags: dict[str, Any]) -> None:
    from isthmus.console.install.applying import carry_out, finish, look_ahead, plan

    force: bool = flags["force"]
    todo = await plan(cluster, role, objects)
    await look_ahead(cluster, todo, force=force)
    await carry_out(cluster, role, todo, click.echo, force=force)
    if not flags["no_wait"]:
        await _wait(cluster, todo, flags["timeout"])
    await finish(cluster, role, todo, click.echo, force=force)


async def _wait(cluster: InstalledCluster, todo: Plan, limit_s: float) -> None:
    from isthmus.console.install.readiness import until_ready
    from isthmus.console.install.refusals import CannotInstall

    deployments = [each.key for each in todo.planned if each.key.kind == "Deployment"]
    hindered = await until_ready(cluster, deployments, limit_s, lambda line: click.echo(line, err=True))
    if hindered:
        raise CannotInstall(
            *hindered, "all is applied, not all is ready (hint: mend it and give the command again)"
        )
    for key in deployments:
        click.echo(f"{key} ready")
