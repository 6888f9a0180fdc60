"""`isthmus ca deny`, `allow` and `denied`: identities that are let in nowhere any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import click

from isthmus.ca.denied import Denial
from isthmus.console.ca_clusters import Reached, must_be_all, reached
from isthmus.console.cli.mesh_options import chosen, cluster_options
from isthmus.console.denying import allow as allow_in
from isthmus.console.denying import denied_in
from isthmus.console.denying import deny as deny_in
from isthmus.console.render import fail, table
from isthmus.kit.clock import SystemClock
from isthmus.kube.errors import KubeError
from isthmus.model.identity import SpiffeId

_IDENTITIES = click.argument("identities", nargs=-1, required=True, metavar="IDENTITY...")


@click.command("deny")
@_IDENTITIES
@click.option("--reason", default="", help="told to whoever asks")
@cluster_options
def deny(identities: tuple[str, ...], reason: str, **flags: Any) -> None:
    """Let an IDENTITY (spiffe://…) in nowhere any more, and sign for it no more.

    In all clusters of the mesh; give the context of each, that of Pilot first. Calls in plain text prove no
    identity, so that only ports that demand mutual TLS refuse all of them.
    """
    now = SystemClock().now()
    try:
        denials = [
            Denial(identity=str(SpiffeId.parse(each)), since=now, reason=reason) for each in identities
        ]
    except ValueError as error:
        fail(str(error))
    _done(flags, lambda found: deny_in(found, denials))


@click.command("allow")
@_IDENTITIES
@cluster_options
def allow(identities: tuple[str, ...], **flags: Any) -> None:
    """Deny an IDENTITY no more."""
    _done(flags, lambda found: allow_in(found, identities))


@click.command("denied")
@cluster_options
def denied(**flags: Any) -> None:
    """Show who is denied."""
    _done(flags, lambda found: denied_in(found.config), every=False)


def _done(
    flags: dict[str, Any], job: Callable[[Reached], Awaitable[tuple[Denial, ...]]], *, every: bool = True
) -> None:
    async def within() -> tuple[Denial, ...]:
        async with reached(flags["kubeconfig"], chosen(flags), flags["root"]) as found:
            if every:
                await must_be_all(found, ())
            return await job(found)

    try:
        left = asyncio.run(within())
    except (KubeError, LookupError, ValueError) as error:
        fail(str(error.args[0]))
    rows = [
        (each.identity, f"{datetime.fromtimestamp(each.since, UTC):%Y-%m-%d %H:%M}", each.reason)
        for each in left
    ]
    click.echo(table(("DENIED", "SINCE", "REASON"), rows) if rows else "nobody is denied")
