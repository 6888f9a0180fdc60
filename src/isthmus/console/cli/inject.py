"""`isthmus kube-inject`: sidecars into manifests, for `kubectl apply`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from isthmus.console.control_plane import access_to
from isthmus.console.injection import settings_of_cluster
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError
from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest
from isthmus.sidecar.inject.settings import InjectSettings


@click.command("kube-inject")
@click.option("-f", "--filename", required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="file to write; otherwise standard output"
)
@click.option("--cluster", default="", help="name of the cluster, instead of asking it for its settings")
@click.option("--context", help="kubeconfig context")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file")
@click.option("-n", "--namespace", default="default", show_default=True, help="of objects that name none")
def command(filename: Path, output: Path | None, namespace: str, **where: str) -> None:
    """Add the sidecar to every workload in a file: `isthmus kube-inject -f app.yaml | kubectl apply -f -`.

    Pods with host network, and those that say sidecar.istio.io/inject: "false", are left as they are.
    """
    text = sys.stdin.read() if str(filename) == "-" else filename.read_text()
    try:
        if where["cluster"]:
            settings = InjectSettings(cluster=where["cluster"])
        else:
            kubeconfig = Path(where["kubeconfig"]) if where["kubeconfig"] else None
            settings = asyncio.run(settings_of_cluster(access_to(kubeconfig, where["context"])))
        injected = inject_manifest(text, settings, namespace)
    except (KubeError, InvalidManifest) as error:
        fail(str(error))
    for outcome in injected.outcomes:
        word = "injected" if outcome.injected else "left as it is"
        click.echo(
            f"{outcome.workload}: {word}: {outcome.reason}"
            if outcome.reason
            else f"{outcome.workload}: {word}",
            err=True,
        )
    if output is not None:
        output.write_text(injected.text)
    else:
        click.echo(injected.text, nl=False)
