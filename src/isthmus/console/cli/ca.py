"""`isthmus ca`: the root of trust."""

from __future__ import annotations

from pathlib import Path

import click

from isthmus.ca.founding import Founding, found
from isthmus.ca.store import InvalidStore
from isthmus.console.render import fail


@click.group("ca")
def command() -> None:
    """The root of trust."""


@command.command("init")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--cluster", "clusters", multiple=True, help="make an intermediate CA of its own for this cluster"
)
@click.option("--organisation", default="Isthmus", show_default=True)
def init(directory: Path, clusters: tuple[str, ...], organisation: str) -> None:
    """Make a root and the plug-in CA files for Secret `cacerts`. Nothing is ever overwritten."""
    try:
        for path in found(directory, Founding(clusters=clusters, organisation=organisation)):
            click.echo(f"wrote {path}")
    except InvalidStore as error:
        fail(str(error))
