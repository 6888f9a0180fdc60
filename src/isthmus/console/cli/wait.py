"""`isthmus wait`: until proxies hold what was written."""

from __future__ import annotations

import sys
from typing import Any

import click

from isthmus.console.cli.durations import DURATION
from isthmus.console.cli.options import NAMESPACE, REVISION, cluster_options, meshed, output, written
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError


@click.command("wait")
@click.argument("kind", metavar="KIND")
@click.argument("name", metavar="NAME[.NAMESPACE]")
@click.option(
    "--for",
    "what",
    type=click.Choice(["distribution", "delete"]),
    default="distribution",
    show_default=True,
    help="until proxies hold it, or hold nothing of it any more",
)
@click.option("--generation", default=0, help="from this generation on; 0: that which the API server has")
@click.option("--timeout", type=DURATION, default="30s", show_default=True, help="so long at the most")
@NAMESPACE
@REVISION
@cluster_options
@output()
def command(kind: str, name: str, what: str, **flags: Any) -> None:
    """Wait until all proxies that an object of configuration concerns hold what follows from it, in all clusters.

    All Pilots are asked, in the clusters of --context (several) that have one, or of the current context: each must
    know the generation, and each proxy that it may matter to must have taken up what it was sent. Ends with 1, and
    says who is behind, when the time is over, at once where the object is refused or a proxy rejects it.
    """
    from isthmus.console.awaiting import Asked, counted, kind_called, wait_for

    short, dot, namespace = name.partition(".")
    space = flags["namespace"] or (namespace if dot else "default")
    try:
        asked = Asked(kind_called(kind), space, short, flags["generation"], gone=what == "delete")
        where = meshed(flags)
        found = wait_for(where, asked, flags["timeout"])
    except (KubeError, ValueError) as error:
        fail(str(error))
    said = {
        "object": str(asked),
        "generation": found.generation,
        "missing": found.missing,
        "proxies": found.proxies,
    }
    done = "is gone from" if asked.gone else f"generation {found.generation} is held by"
    text = "\n".join(found.missing) if found.missing else f"{asked}: {done} {counted(found.proxies)}"
    click.echo(written(flags["output"], said, lambda: text))
    if found.missing:
        sys.exit(1)
