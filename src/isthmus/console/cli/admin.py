"""`isthmus admin`: the programs of the control plane while they run."""

from __future__ import annotations

import sys
from typing import Any

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.admin_debug import debug
from isthmus.console.cli.options import cluster_options, meshed, output, written
from isthmus.console.render import fail, table
from isthmus.kube.errors import KubeError

_HEADS = ("SCOPE", "LEVEL", "ABOUT")
_WIDE = ("SCOPE", "LEVEL", "STARTED", "PROGRAM", "POD", "CONTEXT")


@click.group("admin", cls=ToldWhole)
def command() -> None:
    """The programs of the control plane while they run."""


command.add_command(debug)


@command.command("log")
@click.option(
    "--level",
    default="",
    metavar="SCOPE:LEVEL,…",
    help="set: a level for all scopes, or SCOPE:LEVEL, with commas between",
)
@click.option("-r", "--reset", is_flag=True, help="back to what each program was started with")
@click.option("--revision", default="", help="only the programs of this revision, to look")
@cluster_options
@output()
def log(level: str, *, reset: bool, **flags: Any) -> None:
    """Show how much Pilots, Citadels and injectors log, by scopes, and set it while they run, in all clusters.

    Who may forward ports to their pods may look. To set it is to write ConfigMap isthmus-log-levels beside them,
    which each of them follows: so it holds for those too that start later, until --reset. Levels are debug, info,
    warning, error and none.
    """
    import asyncio

    from isthmus.console.logging_programs import look, put, rows
    from isthmus.kit.log_levels import said_levels

    if level and reset:
        fail("--reset stands without --level")
    if flags["revision"] and (level or reset):
        fail("--revision: levels are set for all revisions at once (hint: without --revision)")
    try:
        wanted = said_levels(level)
        where = meshed(flags)
        found = asyncio.run(put(where, wanted or None) if level or reset else look(where))
    except KubeError as error:
        fail(str(error))
    except ValueError as error:
        fail(f"--level: {error}" if level else str(error))
    wrong = [f"{each}: {each.said['wrong']}" for each in found.programs if each.said["wrong"]]
    for each in (*found.silent, *wrong):
        click.echo(f"warning: {each}", err=True)
    form = flags["output"]
    tree = [_tree(each) for each in found.programs]
    heads = _WIDE if form == "wide" else _HEADS
    click.echo(written(form, tree, lambda: table(heads, rows(found.programs, wide=form == "wide"))))
    if found.silent or wrong:
        sys.exit(1)


def _tree(program: Any) -> dict[str, Any]:
    return {"context": program.context, "pod": program.pod, "program": program.program, **program.said}
