"""`isthmus bug-report`: all that is to be known of a mesh, in one file, without its secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from isthmus.console.cli.durations import DURATION
from isthmus.console.cli.options import chosen, cluster_options
from isthmus.console.render import fail
from isthmus.kit.release import RELEASE
from isthmus.kube.errors import KubeError

_MIB = 1 << 20
_NOT_OURS = "kube-system,kube-public,kube-node-lease,local-path-storage"
"""Namespaces that istioctl leaves out, too."""


@click.command("bug-report")
@cluster_options
@click.option(
    "-f",
    "--filename",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="file to write  [default: bug-report-TIME.tar.gz]",
)
@click.option("--timeout", type=DURATION, default="5m", show_default=True, help="so long at the most")
@click.option(
    "--max-size",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="MiB that the archive holds at the most, unpacked",
)
@click.option(
    "--max-proxies",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Envoys of a cluster that are asked; ill ones first",
)
@click.option(
    "--include",
    multiple=True,
    metavar="WHOSE",
    help="only these Envoys: NAMESPACES/DEPLOYMENTS/PODS/LABELS/ANNOTATIONS, each a list with commas, names with *",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="WHOSE",
    default=(_NOT_OURS,),
    show_default=True,
    help="none of these, said likewise",
)
@click.option(
    "--log-lines",
    type=click.IntRange(min=0),
    default=2000,
    show_default=True,
    help="the last lines of each log",
)
def command(path: Path | None, **flags: Any) -> None:
    """Write one archive with all that is to be known of a mesh, in the clusters of --context (several).

    Versions, configuration, events, Pilots' and Envoys' pages, logs of the control plane and of sidecars, and what
    isthmus check says. Secrets are not read; keys, tokens and passwords within other things are taken out, rather too
    much than too little: look into it before you give it away. What could not be had, such as a cluster that does
    not answer, is said in its README.txt.
    """
    import asyncio

    from isthmus.console.bug_report.archive import must_be_new
    from isthmus.kit.clock import SystemClock

    now = datetime.fromtimestamp(SystemClock().now(), UTC)
    path = path or Path(f"bug-report-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    try:
        must_be_new(path)
        contexts = chosen(flags)
        notes, count = asyncio.run(_gathered(path, contexts, flags))
    except FileExistsError:
        fail(f"{path}: is there already")
    except (KubeError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror} (hint: -f FILE)")
    for each in notes:
        click.echo(f"not in it: {each}", err=True)
    click.echo(f"wrote {path}: {count} files")


async def _gathered(path: Path, contexts: tuple[str, ...], flags: dict[str, Any]) -> tuple[list[str], int]:
    import asyncio

    from isthmus.console.bug_report.archive import Archive
    from isthmus.console.bug_report.gather import Gathering, Limits
    from isthmus.console.bug_report.selection import Selection, parse_selection

    def selections(name: str) -> tuple[Selection, ...]:
        try:
            return tuple(map(parse_selection, flags[name]))
        except ValueError as error:
            raise ValueError(f"--{name}: {error}") from error

    limits = Limits(
        proxies=flags["max_proxies"],
        log_lines=flags["log_lines"],
        include=selections("include"),
        exclude=selections("exclude"),
    )
    archive = Archive(path, limit_bytes=flags["max_size"] * _MIB, file_limit_bytes=8 * _MIB)
    names = contexts or ("current",)
    try:
        async with asyncio.timeout(flags["timeout"]):
            await asyncio.gather(
                _checked(archive, contexts, flags),
                *(
                    Gathering(archive, name.replace("/", "_"), flags["root"], limits).of_cluster(
                        flags["kubeconfig"], context
                    )
                    for name, context in zip(names, contexts or ("",), strict=True)
                ),
            )
    except TimeoutError:
        archive.note(f"all that had not come after {flags['timeout']:g} s (hint: --timeout)")
    head = (
        f"isthmus {RELEASE} gathered this of {', '.join(names)} at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC."
    )
    return archive.notes, archive.write(head)


async def _checked(archive: Any, contexts: tuple[str, ...], flags: dict[str, Any]) -> None:
    from isthmus.console.check.read import clusters
    from isthmus.console.check.table import CHECKS
    from isthmus.console.check.text import as_text
    from isthmus.console.check.verdict import checked

    try:
        reading = await clusters(flags["kubeconfig"], contexts, flags["root"], before_install=False)
        archive.text("check.txt", as_text(tuple(checked(CHECKS, reading, before_install=False)), whole=True))
    except (KubeError, ValueError) as error:
        archive.note(f"isthmus check: {error}")
