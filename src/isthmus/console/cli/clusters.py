"""`isthmus clusters`: which clusters the mesh has, and how it stands with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from isthmus.console.cli import ToldWhole, membership
from isthmus.console.cli.life_options import life_options
from isthmus.console.cli.options import REVISION, WATCH, cluster_options, meshed, output, written
from isthmus.console.render import fail, table
from isthmus.console.watching import follow
from isthmus.kube.errors import KubeError


@click.group("clusters", cls=ToldWhole)
def command() -> None:
    """The clusters of the mesh."""


for each_command in membership.COMMANDS:
    command.add_command(each_command)


@command.command("list")
@REVISION
@cluster_options
@WATCH
@output()
def list_clusters(*, watch: bool, **flags: Any) -> None:
    """Show each cluster, its state as Pilot sees it, and what is wrong in the registry.

    All Pilots are asked, in the clusters of --context (several) that have one, or of the current context. With
    -o wide also by what Pilot reads it: how old that is, when it ends, and when Pilot asks for the next.
    """
    try:
        if watch:
            follow(lambda: _listed(flags), by_lines=flags["output"] in {"table", "wide"})
        else:
            click.echo(_listed(flags))
    except (KubeError, ValueError) as error:
        fail(str(error))


def _listed(flags: dict[str, Any]) -> str:
    import asyncio

    from isthmus.console.clusters_text import clusters_of
    from isthmus.console.pilots import ask_pilots

    answers = asyncio.run(ask_pilots(meshed(flags), "/debug/clusters"))
    for silent in answers.silent:
        click.echo(f"warning: {silent}", err=True)
    answer = clusters_of(answers.told)
    return written(flags["output"], answer, lambda: _text(answer, is_wide=flags["output"] == "wide"))


def _text(answer: dict[str, Any], *, is_wide: bool) -> str:
    from isthmus.console.clusters_text import narrow, wide
    from isthmus.kit.clock import SystemClock

    clusters = answer["clusters"]
    lines = [wide(clusters, SystemClock().now()) if is_wide else narrow(clusters)]
    for each in clusters:
        lines += [f'cluster "{each["id"]}": {each["error"]}'] if each["error"] else []
        lines += [f'cluster "{each["id"]}": new access is {each["replacing"]}'] if each["replacing"] else []
    return "\n".join([*dict.fromkeys(lines), *answer["findings"]])


@command.command("check")
@click.argument("directory", type=click.Path(path_type=Path))
def check(directory: Path) -> None:
    """Check a registry directory without asking any cluster; exit 1 if anything in it is wrong."""
    from isthmus.discovery.source_files import read_directory
    from isthmus.model.findings import Severity

    claims = read_directory(directory)
    rows = [
        (spec.id, "config" if spec.is_config else "", spec.access.server, spec.source)
        for spec in claims.specs
    ]
    if rows:
        click.echo(table(("CLUSTER", "ROLE", "SERVER", "SOURCE"), rows))
    for finding in claims.findings:
        click.echo(str(finding), err=True)
    if any(finding.severity is Severity.ERROR for finding in claims.findings):
        sys.exit(1)
    if not rows:
        fail(f"{directory} describes no cluster (hint: isthmus clusters add)")


@command.command("add")
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("name")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig of the cluster to add")
@click.option("--context", help="context in it")
@click.option(
    "--server",
    default="",
    help="address of its API server as Pilot reaches it; else the kubeconfig's, or its own word",
)
@click.option("--pilot-endpoint", required=True, help="address:port of the Pilot that owns the cluster")
@click.option("--config-store", is_flag=True, help="its API server holds the configuration of the mesh")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="of its reader account")
@life_options
def add(directory: Path, name: str, **flags: Any) -> None:
    """Write a cluster into a registry directory: NAME.yaml, and NAME.kubeconfig with its reader's token.

    A cluster that is there already gets a new address and token. What is wrong in the directory is said.
    To take a cluster away, delete its two files: Pilot notices.
    """
    import asyncio

    from isthmus.console.registration import CannotRegister, Registration, add_cluster
    from isthmus.discovery.source_files import read_directory

    registration = Registration(name=name, **flags)
    try:
        registered = asyncio.run(add_cluster(directory, registration))
    except (KubeError, CannotRegister) as error:
        fail(str(error))
    for file in registered.files:
        click.echo(f"wrote {file}")
    click.echo(f"Pilot will look for the API server of {name} at {registered.server}")
    for finding in read_directory(directory).findings:
        click.echo(str(finding), err=True)
