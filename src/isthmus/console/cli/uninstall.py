"""`isthmus uninstall`: what `isthmus install ROLE --apply` put into a cluster is taken away again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli.into_cluster import cluster_flags, in_cluster
from isthmus.console.install.roles import ROLES

if TYPE_CHECKING:
    from isthmus.console.install.applying import Role
    from isthmus.console.install.cluster import InstalledCluster


@click.command("uninstall")
@click.argument("role", type=click.Choice(list(ROLES)))
@click.option(
    "-i",
    "--istio-namespace",
    "-n",
    "--namespace",
    "namespace",
    default="istio-system",
    show_default=True,
    help="of the control plane",
)
@click.option(
    "--in", "place", default="", help="namespace of the gateway; without it that of the control plane"
)
@click.option(
    "-r", "--revision", default="", help="name of the control plane; without it the one that has none"
)
@click.option("--purge", is_flag=True, help="also the kinds with all objects of them, and the namespace")
@click.option("--dry-run", is_flag=True, help="only say what would go")
@click.option("-y", "--yes", is_flag=True, help="do not ask")
@cluster_flags
def command(role: str, namespace: str, place: str, revision: str, **flags: Any) -> None:
    """Take away what `isthmus install ROLE --apply` put into a cluster.

    Kinds stay with all objects of them, and so do namespaces; --purge takes them too. What another installation has as
    well stays, and what somebody took over by taking our labels away. Secrets with CAs are not touched by themselves.
    """
    from isthmus.console.install.applying import Role
    from isthmus.console.install.settings import Installation

    installation = Installation(cluster="any", namespace=namespace, place=place, revision=revision)
    in_cluster(flags, lambda cluster: _uninstall(cluster, Role(role, installation), flags))


async def _uninstall(cluster: InstalledCluster, role: Role, flags: dict[str, Any]) -> None:
    from isthmus.console.install.removing import removal, remove

    todo = await removal(cluster, role, purge=flags["purge"])
    for line in todo.staying:
        click.echo(f"stays: {line}")
    if flags["dry_run"] or not flags["yes"]:
        for key in todo.going:
            click.echo(f"goes: {key}")
        for loss in todo.losses:
            click.echo(f"is lost with it: {loss}")
    if flags["dry_run"]:
        return
    if not flags["yes"]:
        click.confirm("Go on?", abort=True)
    await remove(cluster, todo, click.echo)
