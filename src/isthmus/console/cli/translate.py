"""`isthmus translate`: manifests in, Envoy configuration out, without a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import yaml

from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.console.render import fail
from isthmus.translate.offline import read_case
from isthmus.translate.show import shown


@click.command("translate")
@click.option("-f", "--filename", required=True, type=click.Path(path_type=Path, allow_dash=True))
def command(filename: Path) -> None:
    """Show what the proxy of a case is sent: its file says which proxy, which parts, and what clusters hold.

    The goldens in tests/golden are such files.
    """
    text = sys.stdin.read() if str(filename) == "-" else filename.read_text()
    try:
        made = shown(read_case(text))
    except (InvalidConfig, UnknownKind, ValueError) as error:
        fail(f"{filename}: {error}")
    click.echo(yaml.safe_dump(made, sort_keys=False, width=120, allow_unicode=True), nl=False)
