"""`isthmus trust`: whom a mesh believes besides its own, by SPIFFE bundles of other trust domains."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import CONTEXT, KUBECONFIG, ROOT, output, with_options, written
from isthmus.console.render import fail, table
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.trust_exchange import Mesh

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@click.group("trust", cls=ToldWhole)
def command() -> None:
    """Whom the mesh believes besides its own workloads: meshes of other trust domains, by their roots."""


def _of_meshes(function: F) -> F:
    return with_options((KUBECONFIG, ROOT))(function)


def _of_mesh(function: F) -> F:
    return CONTEXT(_of_meshes(function))


@command.command("bundle")
@_of_mesh
def bundle(context: str | None, **flags: Any) -> None:
    """Print the roots of the mesh as a SPIFFE bundle, for others to import."""
    click.echo(_done(flags, (context,), lambda meshes: meshes[0].own()).text)


@command.command("import")
@click.argument("trust_domain")
@click.argument("file", type=click.File("r"))
@_of_mesh
def import_(trust_domain: str, file: Any, context: str | None, **flags: Any) -> None:
    """Believe workloads of TRUST_DOMAIN by the SPIFFE bundle in FILE (-: standard input)."""
    _done(flags, (context,), lambda meshes: meshes[0].believe(trust_domain, file.read()))
    click.echo(f"workloads of {trust_domain} are believed by this bundle")


@command.command("list")
@_of_mesh
@output()
def list_(context: str | None, **flags: Any) -> None:
    """Show the trust domains that are believed besides the mesh's own, and their roots."""
    others = _done(flags, (context,), lambda meshes: meshes[0].others())
    rows = [(name, *_root(text)) for name, text in sorted(others.items())]
    head = ("TRUST DOMAIN", "ROOT", "SHA-256")
    said = [dict(zip(("trustDomain", "root", "sha256"), row, strict=True)) for row in rows]
    click.echo(written(flags["output"], said, lambda: table(head, rows) if rows else "none"))


@command.command("remove")
@click.argument("trust_domain")
@_of_mesh
def remove(trust_domain: str, context: str | None, **flags: Any) -> None:
    """Believe nobody of TRUST_DOMAIN any more."""
    _done(flags, (context,), lambda meshes: meshes[0].forget(trust_domain))
    click.echo(f"nobody of {trust_domain} is believed any more")


@command.command("exchange")
@click.argument("one")
@click.argument("other")
@_of_meshes
def exchange_(one: str, other: str, **flags: Any) -> None:
    """Have two meshes believe each other's workloads: ONE and OTHER are contexts of their Pilots' clusters.

    Give it again when roots of either change: at the stage trust of isthmus ca rotate, and at its end.
    """
    from isthmus.console.trust_exchange import exchange

    bundles = _done(flags, (one, other), lambda meshes: exchange(*meshes))
    click.echo(" and ".join(each.trust_domain for each in bundles) + " believe each other")


@command.command("revoke")
@click.argument("one")
@click.argument("other")
@_of_meshes
def revoke_(one: str, other: str, **flags: Any) -> None:
    """Have two meshes forget each other's roots: the way back of exchange."""
    from isthmus.console.trust_exchange import revoke

    for domain in _done(flags, (one, other), lambda meshes: revoke(*meshes)):
        click.echo(f"nobody of {domain} is believed any more")


def _root(text: str) -> tuple[str, str]:
    from isthmus.kit import x509
    from isthmus.kit.spiffe_bundle import InvalidBundle, read

    try:
        roots = x509.load_bundle(read(text).roots)
    except InvalidBundle as error:
        return str(error), ""
    names = ", ".join(x509.names(each).common_name for each in roots)
    return names, ", ".join(x509.fingerprint(each) for each in roots)


def _done(
    flags: dict[str, Any], contexts: tuple[str | None, ...], job: Callable[[list[Mesh]], Awaitable[T]]
) -> T:
    import asyncio

    from isthmus.console.control_plane import access_to
    from isthmus.console.trust_exchange import CannotExchange, Mesh
    from isthmus.kit.spiffe_bundle import InvalidBundle
    from isthmus.kube.client import Client

    async def within() -> T:
        async with AsyncExitStack() as stack:
            meshes = []
            for context in contexts:
                client = await stack.enter_async_context(Client(access_to(flags["kubeconfig"], context)))
                meshes.append(Mesh(client, flags["root"]))
            return await job(meshes)

    try:
        return asyncio.run(within())
    except (KubeError, CannotExchange, InvalidBundle) as error:
        fail(str(error))
