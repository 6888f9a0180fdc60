"""`isthmus ca deny`, `allow` and `denied`: identities and certificates that are let in nowhere any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli.mesh_options import chosen, cluster_options
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError
from isthmus.model.identity import SpiffeId

if TYPE_CHECKING:
    from isthmus.ca.denied import Denial
    from isthmus.console.ca_clusters import Reached
    from isthmus.console.denied_certificates import Known

_IDENTITIES = click.argument("identities", nargs=-1, metavar="[IDENTITY...]")
_SERIALS = click.option(
    "--serial", "serials", multiple=True, help="this certificate alone, by its number as logs have it"
)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)


@click.command("deny")
@_IDENTITIES
@_SERIALS
@click.option("--certificate", "files", type=_FILE, multiple=True, help="this certificate alone, in PEM")
@click.option(
    "--log", "logs", type=_FILE, multiple=True, help="Citadel's log, where --serial is looked for too"
)
@click.option("--reason", default="", help="told to whoever asks")
@cluster_options
def deny(identities: tuple[str, ...], reason: str, **flags: Any) -> None:
    """Let an IDENTITY (spiffe://…) in nowhere any more, or one certificate, and sign for it no more.

    In all clusters of the mesh; give the context of each, that of Pilot first. Calls in plain text prove no
    identity, so that only ports that demand mutual TLS refuse all of them. A certificate is denied until it ends;
    its identity is not, so that a workload with another certificate goes on.
    """
    from isthmus.ca.denied import Denial
    from isthmus.console.denied_certificates import found, held, logged
    from isthmus.console.denying import deny as deny_in
    from isthmus.console.denying import user_of
    from isthmus.kit.clock import SystemClock

    if not (identities or flags["serials"] or flags["files"]):
        fail("nobody is named (hint: an IDENTITY, --serial or --certificate)")
    now = SystemClock().now()
    try:
        names = [str(SpiffeId.parse(each)) for each in identities]
        certificates = [_read(each) for each in flags["files"]]
        told = [known for each in flags["logs"] for known in logged(_text(each).splitlines())]
    except ValueError as error:
        fail(str(error))

    alone: list[Known] = []

    async def job(mesh: Reached) -> tuple[Denial, ...]:
        known = [*told, *(held(await _held(flags)) if flags["serials"] else ())]
        alone.extend((*certificates, *(found(each, known) for each in flags["serials"])))
        by = await user_of(mesh.config.client)
        denials = [Denial(identity=each, since=now, reason=reason, by=by) for each in names]
        denials += [_denial(each, now, reason, by) for each in alone]
        return await deny_in(mesh, denials, now)

    _done(flags, job, now)
    for each in alone:
        if each.pod:
            click.echo(
                f"{each.pod} holds {each.serial} and is let in nowhere: delete the pod, the next has another"
            )


@click.command("allow")
@_IDENTITIES
@_SERIALS
@cluster_options
def allow(identities: tuple[str, ...], serials: tuple[str, ...], **flags: Any) -> None:
    """Deny an IDENTITY, or a certificate, no more."""
    from isthmus.console.denied_certificates import Known
    from isthmus.console.denying import allow as allow_in
    from isthmus.console.denying import denied_in
    from isthmus.kit.clock import SystemClock

    if not (identities or serials):
        fail("nobody is named (hint: an IDENTITY or --serial)")
    now = SystemClock().now()

    async def job(mesh: Reached) -> tuple[Denial, ...]:
        known = [
            Known(each.serial, each.sha256, each.identity, each.until)
            for each in await denied_in(mesh.config)
            if each.serial
        ]
        numbers = [_denied_number(each, known) for each in serials]
        return await allow_in(mesh, (*identities, *numbers), now)

    _done(flags, job, now)


@click.command("denied")
@cluster_options
def denied(**flags: Any) -> None:
    """Show who is denied, and which certificates."""
    from isthmus.console.denying import denied_in
    from isthmus.kit.clock import SystemClock

    _done(flags, lambda mesh: denied_in(mesh.config), SystemClock().now(), every=False)


async def _held(flags: dict[str, Any]) -> Sequence[Any]:
    from isthmus.console.held_certificates import held_in

    return await held_in(flags["kubeconfig"], chosen(flags), flags["root"])


def _denied_number(text: str, known: Sequence[Known]) -> str:
    from isthmus.console.denied_certificates import digits, found

    try:
        return found(text, known).serial
    except LookupError:
        return digits(text) or text


def _denial(known: Known, now: float, reason: str, by: str) -> Denial:
    from isthmus.ca.denied import Denial

    if known.end <= now:
        raise ValueError(f"certificate {known.serial} has ended (hint: nobody takes it any more)")
    return Denial(
        identity=known.identity,
        since=now,
        reason=reason,
        by=by,
        serial=known.serial,
        sha256=known.sha256,
        until=known.end,
    )


def _read(path: Path) -> Known:
    from isthmus.console.denied_certificates import in_file

    try:
        return in_file(_text(path).encode())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _text(path: Path) -> str:
    with click.open_file(str(path), errors="replace") as file:
        return str(file.read())


def _done(
    flags: dict[str, Any],
    job: Callable[[Reached], Awaitable[tuple[Denial, ...]]],
    now: float,
    *,
    every: bool = True,
) -> None:
    import asyncio

    from isthmus.console.ca_clusters import must_be_all, reached
    from isthmus.console.certificates_text import denied_table

    async def within() -> tuple[Denial, ...]:
        async with reached(flags["kubeconfig"], chosen(flags), flags["root"]) as mesh:
            if every:
                await must_be_all(mesh, ())
            return await job(mesh)

    try:
        left = asyncio.run(within())
    except (KubeError, LookupError, ValueError) as error:
        fail(str(error.args[0]))
    click.echo(denied_table([each for each in left if each.stands(now)]) or "nobody is denied")
