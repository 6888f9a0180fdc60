"""`isthmus revision tag`: names by which namespaces ask for a revision, as `istioctl tag`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import CONTEXT, KUBECONFIG, ROOT, output, with_options, written
from isthmus.console.render import fail, table
from isthmus.kube.errors import KubeError
from isthmus.model.revision import DEFAULT

if TYPE_CHECKING:
    from isthmus.admission.tags import Tag
    from isthmus.console import tags
    from isthmus.kube.client import Client

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_REVISION = click.option("--revision", "-r", required=True, help="the revision that it stands for")
_OVERWRITE = click.option("--overwrite", is_flag=True, help="move a tag that is set to another revision")
_EVERYWHERE = click.option(
    "--auto-inject-namespaces",
    "everywhere",
    is_flag=True,
    help="of tag default: inject pods that say nothing, in namespaces that say nothing",
)
_YES = click.option("-y", "--yes", is_flag=True, help="also where namespaces are without an injector then")


def _cluster(command: F) -> F:
    return with_options((CONTEXT, KUBECONFIG, ROOT))(command)


@click.group("tag", cls=ToldWhole)
def command() -> None:
    """Names by which namespaces ask for a revision without knowing which it is."""


@command.command("set")
@click.argument("tag")
@_REVISION
@_OVERWRITE
@_EVERYWHERE
@_YES
@_cluster
def set_tag(tag: str, **flags: Any) -> None:
    """Let TAG stand for a revision: new pods of namespaces with istio.io/rev=TAG are of it.

    Tag `default` is asked for by istio-injection=enabled, too, and says which revision writes statuses and validates
    configuration that names none. Pods that run stay as they are until they are made anew.
    """
    from isthmus.console import tags

    wanted = _tag(tag, flags)

    async def job(client: Client) -> None:
        await tags.must_be_free(client, wanted, overwrite=flags["overwrite"])
        objects = await tags.objects_of(client, wanted)
        left = await tags.left_by_setting(client, wanted, objects)
        _agreed(left, f'nobody runs who injects for revision "{wanted.revision}"', yes=flags["yes"])
        await tags.set_tag(client, wanted, objects)

    _in_cluster(flags, job)
    click.echo(
        f'tag "{tag}" stands for revision "{wanted.revision}" (kubectl label namespace … istio.io/rev={tag})'
    )


@command.command("generate")
@click.argument("tag")
@_REVISION
@_EVERYWHERE
@_cluster
def generate(tag: str, **flags: Any) -> None:
    """Print what `set` applies, made of the revision's webhooks in the cluster.

    With tag `default` at another revision than `default`, `set` silences the webhook of that one as well.
    """
    from isthmus.console import tags
    from isthmus.console.installation import dump

    wanted = _tag(tag, flags)
    click.echo(dump(_in_cluster(flags, lambda client: tags.objects_of(client, wanted))), nl=False)


@command.command("list")
@_cluster
@output()
def list_tags(output: str, **flags: Any) -> None:
    """Show each tag, the revision that it stands for, and the namespaces that ask for it."""
    from isthmus.console import tags

    found = _in_cluster(flags, lambda client: tags.tags(client, flags["root"]))
    click.echo(written(output, found, lambda: _text(found, wide=output == "wide")))


@command.command("remove")
@click.argument("tag")
@_YES
@_cluster
def remove(tag: str, **flags: Any) -> None:
    """Take TAG away; namespaces that ask for it have no injector then."""
    from isthmus.console import tags

    async def job(client: Client) -> None:
        left = await tags.left_by_removing(client, tag, flags["root"])
        _agreed(left, f'nobody answers for "{tag}" then', yes=flags["yes"])
        await tags.remove_tag(client, tag, flags["root"])

    _in_cluster(flags, job)
    click.echo(f'tag "{tag}" removed')


def _tag(name: str, flags: dict[str, Any]) -> Tag:
    from isthmus.admission.tags import Tag

    if flags["everywhere"] and name != DEFAULT:
        raise click.UsageError(
            f"--auto-inject-namespaces: nobody who says nothing asks for {name!r} (hint: it is for tag {DEFAULT})"
        )
    return Tag(name=name, revision=flags["revision"], namespace=flags["root"], everywhere=flags["everywhere"])


def _agreed(left: tuple[str, ...], why: str, *, yes: bool) -> None:
    """Raises `CannotTag` where namespaces are left and nobody said that this is meant."""
    from isthmus.console import tags

    if left and not yes:
        raise tags.CannotTag(
            f"{why}, and new pods would have no sidecar, or not be made, in these namespaces: {', '.join(left)} "
            "(hint: label them for another one, or --yes)"
        )


def _text(found: list[tags.SetTag], *, wide: bool) -> str:
    if not found:
        return "no tag is set"
    rows = [
        (each.tag, each.revision, ", ".join(each.namespaces) or "-" if wide else len(each.namespaces))
        for each in found
    ]
    return table(("TAG", "REVISION", "NAMESPACES"), rows)


def _in_cluster(flags: dict[str, Any], job: Callable[[Client], Awaitable[T]]) -> T:
    import asyncio

    from isthmus.console import tags
    from isthmus.console.control_plane import access_to
    from isthmus.kube.client import Client

    kubeconfig: Path | None = flags["kubeconfig"]

    async def within() -> T:
        async with Client(access_to(kubeconfig, flags["context"])) as client:
            return await job(client)

    try:
        return asyncio.run(within())
    except (KubeError, tags.CannotTag) as error:
        fail(str(error))
