"""`isthmus revision`: control planes side by side in one cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import CONTEXT, KUBECONFIG, ROOT, output, written
from isthmus.console.cli.revision_tag import command as tag_command
from isthmus.console.render import fail, table
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.revision_description import Description
    from isthmus.console.revisions import Revision


@click.group("revision", cls=ToldWhole)
def command() -> None:
    """Control planes side by side in one cluster."""


command.add_command(tag_command)


@command.command("list")
@CONTEXT
@KUBECONFIG
@ROOT
@output()
def list_revisions(context: str | None, kubeconfig: Path | None, root: str, output: str) -> None:
    """Show each revision: whether it is the default, its tags, its Pilots, and the namespaces that ask for it.

    A revision without Pilots that namespaces ask for is one whose new pods have no sidecar.
    """
    import asyncio

    try:
        found = asyncio.run(_found(kubeconfig, context, root))
    except KubeError as error:
        fail(str(error))
    click.echo(written(output, found, lambda: _text(found, wide=output == "wide")))


@command.command("describe")
@click.argument("revision")
@CONTEXT
@KUBECONFIG
@ROOT
@output()
def describe(revision: str, context: str | None, kubeconfig: Path | None, root: str, output: str) -> None:
    """Show a REVISION, or the one for which a tag stands: who serves it, who asks for it, and where it still runs.

    Before it is uninstalled nobody should ask for it, and no pod have a sidecar of it.
    """
    import asyncio

    from isthmus.console.control_plane import access_to
    from isthmus.console.revision_description import UnknownRevision, description
    from isthmus.console.revision_text import described_text
    from isthmus.kube.client import Client

    async def found() -> Description:
        async with Client(access_to(kubeconfig, context)) as client:
            return await description(client, root, revision)

    try:
        described = asyncio.run(found())
    except (KubeError, UnknownRevision) as error:
        fail(str(error))
    click.echo(written(output, described, lambda: described_text(described)))


async def _found(kubeconfig: Path | None, context: str | None, root: str) -> list[Revision]:
    from isthmus.console.control_plane import access_to
    from isthmus.console.revisions import revisions
    from isthmus.kube.client import Client

    async with Client(access_to(kubeconfig, context)) as client:
        return await revisions(client, root)


def _text(found: list[Revision], *, wide: bool) -> str:
    rows = [
        (
            each.name,
            "yes" if each.is_default else "",
            ", ".join(each.tags) or "-",
            len(each.pilots),
            ", ".join(each.images) or "-",
            ", ".join(each.namespaces) or "-" if wide else len(each.namespaces),
        )
        for each in found
    ]
    return table(("REVISION", "DEFAULT", "TAGS", "PILOTS", "IMAGE", "NAMESPACES"), rows)
