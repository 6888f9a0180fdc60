"""`isthmus analyze`: what is wrong or doubtful in the configuration."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.console.control_plane import ask_pilot
from isthmus.console.drawn_mesh import read_manifests
from isthmus.console.fault_output import OUTPUTS
from isthmus.console.faults import Fault, faults_together
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError


@click.command("analyze")
@click.argument("files", nargs=-1)
@click.option("--context", help="kubeconfig context of the cluster that Pilot runs in")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="Pilot's namespace")
@click.option("-o", "--output", type=click.Choice(list(OUTPUTS)), default="text", show_default=True)
def command(
    files: tuple[str, ...], context: str | None, kubeconfig: Path | None, namespace: str, output: str
) -> None:
    """Show the findings of the running mesh, or of FILES by themselves; exit 1 if any is an error.

    FILES are manifests or folders of them; CLUSTER=PATH says in which cluster they are.
    """
    try:
        if files:
            found = tuple(faults_together(read_manifests(files)))
        else:
            answer = asyncio.run(ask_pilot(kubeconfig, context, namespace, "/debug/findings"))
            found = msgspec.convert(answer, tuple[Fault, ...])
    except (KubeError, InvalidConfig) as error:
        fail(str(error))
    click.echo(OUTPUTS[output](found))
    if any(each.severity == "error" for each in found):
        sys.exit(1)
