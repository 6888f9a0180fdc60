"""`isthmus validate`: what is wrong with objects, each by itself."""

from __future__ import annotations

import sys

import click

from isthmus.api.errors import InvalidConfig
from isthmus.console.cli.options import output
from isthmus.console.render import fail


@click.command("validate")
@click.option(
    "-f", "--filename", "files", multiple=True, required=True, help="a file, a folder, or - for stdin"
)
@output("sarif")
def command(files: tuple[str, ...], **flags: str) -> None:
    """Show everything that is wrong with each object in the files.

    How objects fit together is what `isthmus analyze` looks at. Ends with 79 if anything is wrong, with 1 if
    it could not look, else with 0.
    """
    from isthmus.console.fault_filter import FOUND
    from isthmus.console.fault_output import OUTPUTS
    from isthmus.console.faults import faults_of_each
    from isthmus.console.written import given_manifests

    try:
        manifests = given_manifests(files)
    except InvalidConfig as error:
        fail(str(error))
    found = tuple(faults_of_each(manifests))
    click.echo(OUTPUTS[flags["output"]](found))
    if any(each.severity == "error" for each in found):
        sys.exit(FOUND)
