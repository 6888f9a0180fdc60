"""`isthmus proxy stats`: what an Envoy counts."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from isthmus.console.cli.options import WATCH, output, with_options, written
from isthmus.console.cli.proxy_config import POD_IN_CLUSTERS, asked
from isthmus.console.render import fail, render_rows, table
from isthmus.console.watching import follow
from isthmus.kube.errors import KubeError, Refused

_TYPES = ("server", "clusters")


@click.command("stats")
@with_options(POD_IN_CLUSTERS)
@click.option(
    "-t",
    "--type",
    "kind",
    type=click.Choice(_TYPES),
    default=_TYPES[0],
    show_default=True,
    help="all statistics, or those of each endpoint of each upstream",
)
@click.option(
    "--filter",
    "wanted",
    default="",
    metavar="REGEX",
    help="only names in which this is found, as 'upstream_rq'",
)
@WATCH
@output("prometheus", "merged")
def stats(pod: str, *, watch: bool, **flags: Any) -> None:
    """Show what the Envoy beside POD counts.

    Those that it never touched are shown by -o wide; -o prometheus shows them as Prometheus fetches them, and -o merged
    with the application's own beside them, as the agent answers at port 15020.
    """
    from isthmus.console.proxy_stats import WrongStats
    from isthmus.kit import regex

    form = flags["output"]
    if (wrong := regex.fault(flags["wanted"])) and flags["wanted"]:
        fail(f"--filter: {regex.short(flags['wanted'])} {wrong}")
    try:
        if watch:
            follow(lambda: _shown(pod, flags), by_lines=form not in {"json", "yaml"})
        else:
            click.echo(_shown(pod, flags))
    except Refused as error:
        fail(f"{pod}: {str(error).partition(chr(10))[0]}")
    except (KubeError, WrongStats, ValueError) as error:
        fail(str(error))


def _shown(pod: str, flags: dict[str, Any]) -> str:
    import asyncio

    from isthmus.console.proxy_stats import question, rows, upstreams

    form, wanted = flags["output"], flags["wanted"]
    (said,) = asyncio.run(asked(pod, flags, question(flags["kind"], form, wanted)))
    if form in {"prometheus", "merged"}:
        return said.decode().rstrip()
    if flags["kind"] == "clusters":
        told = msgspec.json.decode(said)
        found = sorted(upstreams(told, wanted), key=lambda each: (each.upstream, each.endpoint))
        return written(form, found, lambda: render_rows(found))
    if form in {"json", "yaml"}:
        return written(form, msgspec.json.decode(said), str)
    counted = rows(said.decode())
    return table(("NAME", "VALUE"), counted) if counted else "nothing found"
