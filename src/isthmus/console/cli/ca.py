"""`isthmus ca`: the root of trust."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from isthmus.ca import store
from isthmus.ca.founding import CannotFound, Founding, found
from isthmus.console.cli import ToldWhole
from isthmus.console.cli.ca_status import status
from isthmus.console.render import fail
from isthmus.kit import x509
from isthmus.kit.clock import SystemClock


@click.group("ca", cls=ToldWhole)
def command() -> None:
    """The root of trust."""


command.add_command(status)


@command.command("init")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--cluster", "clusters", multiple=True, help="make an intermediate CA of its own for this cluster"
)
@click.option("--organisation", default="Isthmus", show_default=True, help="how the certificates are called")
def init(directory: Path, clusters: tuple[str, ...], organisation: str) -> None:
    """Make a root and the plug-in CA files for Secret `cacerts`. Nothing is ever overwritten.

    With --cluster, once for each cluster, the four files of a cluster lie in DIRECTORY/CLUSTER, and come from
    one root, so that the clusters believe each other. Clusters can be added later. The root's key stays
    in DIRECTORY: keep it off the clusters.
    """
    clusters = tuple(dict.fromkeys(clusters))
    try:
        for path in found(directory, Founding(clusters=clusters, organisation=organisation)):
            click.echo(f"wrote {path}")
    except CannotFound as error:
        fail(str(error))
    for place in [directory / cluster for cluster in clusters] or [directory]:
        files = " ".join(f"--from-file={place / name}" for name in store.FILES)
        click.echo(f"next: kubectl create secret generic {store.SECRET} -n istio-system {files}")


@command.command("check")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check(directory: Path) -> None:
    """Check the four CA files in DIRECTORY as Citadel would; exit 1 if it would not take them."""
    now = SystemClock().now()
    try:
        material = store.verify(store.read(directory), now)
    except store.InvalidStore as error:
        fail(str(error))
    for each in material.chain:
        end = datetime.fromtimestamp(x509.life(each).end, UTC)
        click.echo(f"{x509.names(each).common_name}: until {end:%Y-%m-%d}, SHA-256 {x509.fingerprint(each)}")
