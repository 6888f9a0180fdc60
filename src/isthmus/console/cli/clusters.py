"""`isthmus clusters`: which clusters the mesh has, and how it stands with them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from isthmus.console.cli import ToldWhole, membership
from isthmus.console.cli.life_options import life_options
from isthmus.console.cli.options import output, written
from isthmus.console.clusters_text import narrow, wide
from isthmus.console.control_plane import ask_pilot
from isthmus.console.registration import CannotRegister, Registration, add_cluster
from isthmus.console.render import fail, table
from isthmus.discovery.source_files import read_directory
from isthmus.kit.clock import SystemClock
from isthmus.kube.errors import KubeError
from isthmus.model.findings import Severity


@click.group("clusters", cls=ToldWhole)
def command() -> None:
    """The clusters of the mesh."""


for each_command in membership.COMMANDS:
    command.add_command(each_command)


@command.command("list")
@click.option("--context", help="kubeconfig context of the cluster that Pilot runs in")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="Pilot's namespace")
@output()
def list_clusters(context: str | None, kubeconfig: Path | None, namespace: str, **flags: str) -> None:
    """Show each cluster, its state as Pilot sees it, and what is wrong in the registry.

    With -o wide also by what Pilot reads it: how old that is, when it ends, and when Pilot asks for the next.
    """
    try:
        answer = asyncio.run(ask_pilot(kubeconfig, context, namespace, "/debug/clusters"))
    except KubeError as error:
        fail(str(error))
    if flags["output"] in {"json", "yaml"}:
        click.echo(written(flags["output"], answer, str))
        return
    is_wide = flags["output"] == "wide"
    click.echo(wide(answer["clusters"], SystemClock().now()) if is_wide else narrow(answer["clusters"]))
    for each in answer["clusters"]:
        if each["error"]:
            click.echo(f'cluster "{each["id"]}": {each["error"]}')
        if each["replacing"]:
            click.echo(f'cluster "{each["id"]}": new access is {each["replacing"]}')
    for finding in answer["findings"]:
        click.echo(finding)


@command.command("check")
@click.argument("directory", type=click.Path(path_type=Path))
def check(directory: Path) -> None:
    """Check a registry directory without asking any cluster; exit 1 if anything in it is wrong."""
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
    "--server", help="address of its API server as Pilot reaches it; else the kubeconfig's, or its own word"
)
@click.option("--pilot-endpoint", required=True, help="address:port of the Pilot that owns the cluster")
@click.option("--config-store", is_flag=True, help="its API server holds the configuration of the mesh")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="of its reader account")
@life_options
def add(directory: Path, name: str, life_s: float | None, **flags: object) -> None:
    """Write a cluster into a registry directory: NAME.yaml, and NAME.kubeconfig with its reader's token.

    A cluster that is there already gets a new address and token. What is wrong in the directory is said.
    To take a cluster away, delete its two files: Pilot notices.
    """
    registration = Registration(name=name, life_s=life_s, **flags)  # type: ignore[arg-type] # click made them
    try:
        registered = asyncio.run(add_cluster(directory, registration))
    except (KubeError, CannotRegister) as error:
        fail(str(error))
    for file in registered.files:
        click.echo(f"wrote {file}")
    click.echo(f"Pilot will look for the API server of {name} at {registered.server}")
    for finding in read_directory(directory).findings:
        click.echo(str(finding), err=True)
