"""`isthmus kube-inject`: sidecars into manifests, for `kubectl apply`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isthmus.console.cli.options import KUBECONFIG
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError
from isthmus.model.revision import DEFAULT

if TYPE_CHECKING:
    from isthmus.sidecar.inject.manifest import Injection
    from isthmus.sidecar.inject.settings import InjectSettings


@click.command("kube-inject")
@click.option("-f", "--filename", required=True, help="file with manifests, or - for standard input")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="file to write  [default: standard output]"
)
@click.option("--cluster", default="", help="name of the cluster, instead of asking it for its settings")
@click.option("--context", help="kubeconfig context")
@KUBECONFIG
@click.option("-n", "--namespace", default="", help="of objects that name none  [default: the context's]")
@click.option(
    "-i", "--istio-namespace", default="istio-system", show_default=True, help="of the control plane"
)
@click.option(
    "-r",
    "--revision",
    default=DEFAULT,
    show_default=True,
    help="of the control plane, or a tag that stands for it",
)
def command(filename: str, output: Path | None, **where: str) -> None:
    """Add the sidecar to every workload in a file: `isthmus kube-inject -f app.yaml | kubectl apply -f -`.

    Pods with host network, and those that say sidecar.istio.io/inject: "false", are left as they are; what
    was done with each workload is said on standard error. To inject twice is to inject once, and
    `isthmus kube-uninject` takes the sidecars out again.
    """
    from isthmus.sidecar.inject.manifest import InvalidManifest, inject_manifest

    text = read(filename)
    try:
        settings, namespace = _settings(where)
        injected = inject_manifest(text, settings, where["namespace"] or namespace)
    except KubeError as error:
        fail(str(error))
    except InvalidManifest as error:
        fail(f"{filename}: {error}")
    hand_out(filename, injected, output, "injected")


def hand_out(filename: str, made: Injection, output: Path | None, word: str) -> None:
    """Say what was done with each workload, and write the manifests out."""
    for outcome in made.outcomes:
        done = word if outcome.changed else f"left as it is: {outcome.reason}"
        click.echo(f"{outcome.workload}: {done}", err=True)
    if not made.outcomes:
        click.echo(f"{filename}: no workload in it, nothing is {word}", err=True)
    if output is None:
        click.echo(made.text, nl=False)
        return
    try:
        output.write_text(made.text)
    except OSError as error:
        fail(f"{output}: {error.strerror}")


def read(filename: str) -> str:
    """The manifests in a file, or in standard input."""
    if "://" in filename:
        fail(f"{filename}: addresses are not fetched (hint: curl … | isthmus kube-inject -f -)")
    try:
        content = sys.stdin.buffer.read() if filename == "-" else Path(filename).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        fail(f"{filename}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{filename}: not UTF-8")


def _settings(where: dict[str, str]) -> tuple[InjectSettings, str]:
    """The settings to inject with, and the namespace of objects that name none."""
    from isthmus.sidecar.inject.settings import InjectSettings

    root, revision = where["istio_namespace"], where["revision"]
    if where["cluster"]:
        return InjectSettings(cluster=where["cluster"], namespace=root, revision=revision), "default"
    import asyncio

    from isthmus.console.control_plane import access_to
    from isthmus.console.injection import settings_of_cluster

    access = access_to(Path(where["kubeconfig"]) if where["kubeconfig"] else None, where["context"])
    return asyncio.run(settings_of_cluster(access, root, revision)), access.namespace
