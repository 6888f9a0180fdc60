"""`isthmus check`: whether clusters are such that a mesh runs over them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from isthmus.console.cli.mesh_options import chosen, cluster_options
from isthmus.console.cli.options import output, written
from isthmus.console.render import fail, table
from isthmus.kube.errors import KubeError


@click.command("check")
@cluster_options
@click.option("--before-install", is_flag=True, help="look at what an installation needs, and at no mesh")
@click.option("--all", "whole", is_flag=True, help="show what is well, too")
@click.option(
    "--only", multiple=True, metavar="CHECK", help="only these checks, or groups; several may be given"
)
@click.option("-L", "--list", "listed", is_flag=True, help="say what is looked at, and end")
@output()
def command(*, before_install: bool, whole: bool, listed: bool, **flags: object) -> None:
    """Look whether clusters are, and stay, such that a mesh runs over them.

    Looked at are the clusters of --context (several), or of the current context; each check says what it saw,
    why that matters, and the command that mends it. Nothing is changed. Ends with 79 where anything is wrong,
    with 0 where all is well or doubtful, and with 1 where it could not look.
    """
    import asyncio

    from isthmus.console.check.read import clusters
    from isthmus.console.check.table import CHECKS
    from isthmus.console.check.text import as_text
    from isthmus.console.check.verdict import State, checked
    from isthmus.console.fault_filter import FOUND

    only = flags["only"] if isinstance(flags["only"], tuple) else ()
    checks = [each for each in CHECKS if not only or each.name in only or each.group in only]
    strange = [
        each for each in only if each not in {word for one in CHECKS for word in (one.name, one.group)}
    ]
    if strange:
        fail(f"no check is called {strange[0]!r} (hint: isthmus check --list)")
    if listed:
        rows = [(each.group, each.name, each.when.value, each.title) for each in checks]
        click.echo(table(("GROUP", "CHECK", "WHEN", "HOLDS THAT"), rows))
        return
    kubeconfig = flags["kubeconfig"] if isinstance(flags["kubeconfig"], Path) else None
    try:
        reading = clusters(kubeconfig, chosen(flags), str(flags["root"]), before_install=before_install)
        found = tuple(checked(checks, asyncio.run(reading), before_install=before_install))
    except (KubeError, ValueError) as error:
        fail(str(error))
    form = str(flags["output"])
    click.echo(written(form, found, lambda: as_text(found, whole=whole or form == "wide")))
    if any(each.state is State.ERROR for each in found):
        sys.exit(FOUND)
