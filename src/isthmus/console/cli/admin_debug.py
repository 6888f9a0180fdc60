"""`isthmus admin debug`: the pages that Pilots have of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli.options import REVISION, cluster_options, meshed, output
from isthmus.console.meshed import Meshed
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.pilots import Answers

_PAGES = "/debug"


@click.command("debug")
@click.argument("page", default="")
@click.option(
    "--all", "every", is_flag=True, help="what each Pilot answers, by their pods; else what one does"
)
@REVISION
@cluster_options
@output(forms=("json", "yaml"))
def debug(page: str, *, every: bool, **flags: Any) -> None:
    """Show a PAGE that Pilot has of itself, as `syncz`, or list them.

    Some take parameters: `config_dump?proxyID=web-1.default`. Where Istio has such a page it has Istio's shape. Of
    several Pilots one is shown, and the others are named.
    """
    import asyncio

    from isthmus.console.shown import show, show_yaml

    path = _path(page)
    try:
        answers = asyncio.run(_asked(meshed(flags), path))
    except (KubeError, ValueError) as error:
        fail(str(error).rstrip())
    for each in answers.silent:
        click.echo(f"warning: {each}", err=True)
    click.echo({"json": show, "yaml": show_yaml}[flags["output"]](_said(answers, every=every)))


def _path(page: str) -> str:
    words = page.strip("/").removeprefix("debug").lstrip("/")
    return f"{_PAGES}/{words}" if words else _PAGES


async def _asked(where: Meshed, path: str) -> Answers:
    """What Pilots answer. Raises `KubeError`; where they have no such page it says which there are."""
    from isthmus.console.pilots import ask_pilots

    try:
        return await ask_pilots(where, path)
    except KubeError:
        known = {page for each in (await ask_pilots(where, _PAGES)).told for page in each.said}
        page = path.partition("?")[0]
        if page in known:
            raise
    names = ", ".join(sorted(each.removeprefix(f"{_PAGES}/") for each in known))
    raise KubeError(f"there is no page {page.removeprefix(f'{_PAGES}/')!r} (hint: there are {names})")


def _said(answers: Answers, *, every: bool) -> object:
    if every:
        several = len({each.context for each in answers.told}) > 1
        return {f"{each.context}/{each.pod}" if several else each.pod: each.said for each in answers.told}
    first, *others = answers.told
    if others:
        also = ", ".join(each.pod for each in others)
        click.echo(f"this is of {first.pod}; there are also {also} (hint: --all)", err=True)
    return first.said
