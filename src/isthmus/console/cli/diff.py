"""`isthmus diff`: what of proxies' configuration a change of manifests changes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.console.cli.mesh_options import cluster_options, held
from isthmus.console.cli.options import output
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.differences import Change, Differences, FieldChange
    from isthmus.console.drawn_pods import Addresses

DIFFERENT, TROUBLE = 1, 2
"""With which it ends, as diff does."""
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_MOST_PROXIES, _LONGEST = 5, 100


@click.command("diff")
@click.argument("sides", nargs=-1, metavar="BEFORE AFTER")
@click.option(
    "-f", "--filename", "files", multiple=True, help="lay this over what the clusters hold, and compare"
)
@cluster_options
@output()
def command(sides: tuple[str, ...], files: tuple[str, ...], **flags: Any) -> None:
    """Show which proxies are sent something else, and what: for two sets of manifests, or for FILEs over clusters.

    BEFORE and AFTER are paths of files or folders, PATH or CLUSTER=PATH, several with commas between. Ends with 0
    where nothing differs, with 1 where something does, with 2 in trouble.
    """
    from isthmus.console.shown import show, show_yaml

    form = flags["output"]
    try:
        found = _compared(sides, files, flags)
    except (InvalidConfig, KubeError, ValueError) as error:
        fail(str(error), TROUBLE)
    if form in {"table", "wide"}:
        click.echo("\n".join(_lines(found)) if found else "no proxy is sent anything else")
    else:
        click.echo(show(found) if form == "json" else show_yaml(found))
    if found:
        sys.exit(DIFFERENT)


def _compared(sides: tuple[str, ...], files: tuple[str, ...], flags: dict[str, Any]) -> Differences:
    from isthmus.console.differences import differences
    from isthmus.console.drawn_mesh import draw
    from isthmus.console.written import given_manifests

    given: Addresses = {}
    if files and not sides:
        live = held(flags)
        return differences(draw([], live, given), draw(given_manifests(files), live, given))
    if files or len(sides) != 2:
        raise ValueError(
            "two sides are compared (hint: isthmus diff BEFORE AFTER, or -f FILE over the clusters)"
        )
    before, after = (draw(given_manifests(side.split(",")), None, given) for side in sides)
    return differences(before, after)


def _lines(found: Differences) -> Iterator[str]:
    for sign, names in (("-", found.gone), ("+", found.appeared)):
        yield from (f"{sign} proxy {name}" for name in names)
    for group in found.groups:
        shown = ", ".join(group.proxies[:_MOST_PROXIES])
        more = f" and {len(group.proxies) - _MOST_PROXIES} more" if len(group.proxies) > _MOST_PROXIES else ""
        yield f"{len(group.proxies)} prox{'y' if len(group.proxies) == 1 else 'ies'}: {shown}{more}"
        for change in group.changes:
            yield from _of_change(change)


def _of_change(change: Change) -> Iterator[str]:
    yield f"  {_SIGNS[change.what]} {change.part} {change.name}"
    yield from (f"      {_of_field(each)}" for each in change.fields)


def _of_field(field: FieldChange) -> str:
    if field.before is None:
        return f"+ {field.path}: {_brief(field.after)}"
    if field.after is None:
        return f"- {field.path}: {_brief(field.before)}"
    return f"~ {field.path}: {_brief(field.before)} -> {_brief(field.after)}"


def _brief(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
