"""`isthmus kube-uninject`: sidecars out of manifests, for `kubectl apply`."""

from __future__ import annotations

from pathlib import Path

import click

from isthmus.console.cli.inject import hand_out, read
from isthmus.console.render import fail


@click.command("kube-uninject")
@click.option("-f", "--filename", required=True, help="file with manifests, or - for standard input")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="file to write  [default: standard output]"
)
def command(filename: str, output: Path | None) -> None:
    """Take the sidecar out of every workload in a file: `isthmus kube-uninject -f app.yaml | kubectl apply -f -`.

    What was injected stands in the annotation sidecar.istio.io/status: containers, volumes, labels, and the
    probes as they were. What was changed by hand since then stays, and so do workloads without that annotation.
    """
    from isthmus.sidecar.inject.manifest import InvalidManifest, uninject_manifest

    try:
        made = uninject_manifest(read(filename))
    except InvalidManifest as error:
        fail(f"{filename}: {error}")
    hand_out(filename, made, output, "without its sidecar")
