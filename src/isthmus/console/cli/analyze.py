"""`isthmus analyze`: what is wrong or doubtful in the configuration."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from isthmus.console.control_plane import ask_pilot
from isthmus.console.offline import mesh_of_files
from isthmus.console.render import fail, show
from isthmus.kube.errors import KubeError
from isthmus.model.analyze import analyze


@click.command("analyze")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--context", help="kubeconfig context of the cluster that Pilot runs in")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="Pilot's namespace")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(
    files: tuple[Path, ...], context: str | None, kubeconfig: Path | None, namespace: str, output: str
) -> None:
    """Show the findings of the running mesh, or of FILES by themselves; exit 1 if any is an error."""
    try:
        if files:
            found = [
                {"severity": each.severity.value, "object": str(each.ref), "cluster": each.cluster,
                 "path": each.path, "message": each.message}
                for each in analyze(mesh_of_files(files))
            ]  # fmt: skip
        else:
            found = asyncio.run(ask_pilot(kubeconfig, context, namespace, "/debug/findings"))
    except KubeError as error:
        fail(str(error))
    if output == "json":
        click.echo(show(found))
    else:
        for each in found:
            place = f' in cluster "{each["cluster"]}"' if each["cluster"] else ""
            click.echo(f"{each['severity']}: {each['object']}{place}: {each['path']}: {each['message']}")
        if not found:
            click.echo("nothing found")
    if any(each["severity"] == "error" for each in found):
        sys.exit(1)
