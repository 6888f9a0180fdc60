"""`isthmus injection`: who puts sidecars into pods, and whether a pod would have one."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import NAMESPACE, chosen, cluster_options, output, written
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.pilots import Silence
    from isthmus.kube.client import Client

T = TypeVar("T")


@click.group("injection", cls=ToldWhole)
def command() -> None:
    """Who puts sidecars into pods as they are made, and whether a pod would have one."""


@command.command("list")
@cluster_options
@output()
def list_injectors(**flags: Any) -> None:
    """Show who injects in each cluster, which namespaces ask for sidecars, and which pods lack them or have older ones.

    OLDER are those that would have a sidecar of another revision or image if they were made now; with -o wide they are
    named.
    """
    from isthmus.console.injected_namespaces import listed
    from isthmus.console.injection_text import listed_text

    found = _in_clusters(flags, lambda client, context: listed(client, context, flags["root"]))
    click.echo(written(flags["output"], found, lambda: listed_text(found, wide=flags["output"] == "wide")))


@command.command("check")
@click.argument("wanted", metavar="OBJECT", default="")
@click.option(
    "-l",
    "--labels",
    default="",
    metavar="KEY=VALUE,…",
    help="in place of OBJECT: a pod with these labels in -n",
)
@NAMESPACE
@cluster_options
@output()
def check_pod(wanted: str, labels: str, **flags: Any) -> None:
    """Say whether a pod would have a sidecar if it were made now, of which revision, by which webhook, and why.

    OBJECT is a pod or the beginning of its name, `deployment/NAME` (or another kind that makes pods), or
    `namespace/NAME`; what is in a namespace also as `NAME.NAMESPACE`. What counts are the webhooks that the cluster
    has, their selectors and conditions, and what the injector's settings say of the pod. With -o wide each webhook is
    told by itself.

    Ends with 1 where a cluster would give it none.
    """
    from isthmus.console.injection_check import OF_NAMESPACES, Wanted, check
    from isthmus.console.injection_text import checked_text

    try:
        asked = Wanted(wanted, flags["namespace"], _labels(labels))
    except ValueError as error:
        fail(str(error))
    if labels and wanted and wanted.partition("/")[0] not in OF_NAMESPACES:
        fail("-l stands in place of OBJECT (hint: -l app=web -n NAMESPACE, or namespace/NAME)")
    if not (labels or wanted or flags["namespace"]):
        fail("would what? (hint: POD, deployment/NAME, namespace/NAME, or -n NAMESPACE -l KEY=VALUE)")
    found = _in_clusters(flags, lambda client, context: check(client, context, flags["root"], asked))
    click.echo(written(flags["output"], found, lambda: checked_text(found, wide=flags["output"] == "wide")))
    if not all(each.injecting for each in found):
        sys.exit(1)


def _labels(text: str) -> dict[str, str]:
    found = {}
    for each in filter(None, text.split(",")):
        key, sign, value = each.partition("=")
        if not (sign and key):
            raise ValueError(f"--labels: {each!r} is no KEY=VALUE (hint: -l app=web,version=v1)")
        found[key.strip()] = value.strip()
    return found


def _in_clusters(flags: dict[str, Any], look: Callable[[Client, str], Awaitable[T]]) -> list[T]:
    """What is found in each cluster that is meant; ends with an error where nothing is found in any."""
    import asyncio

    from isthmus.console.pilots import Silence

    try:
        found = asyncio.run(_looked(flags, chosen(flags), look))
    except (KubeError, ValueError) as error:
        fail(str(error))
    silent = [each for each in found if isinstance(each, Silence)]
    told = [each for each in found if not isinstance(each, Silence)]
    if not told:
        fail("; ".join(map(str, silent)))
    for each in silent:
        click.echo(f"warning: {each}", err=True)
    return told


async def _looked(
    flags: dict[str, Any], contexts: tuple[str, ...], look: Callable[[Client, str], Awaitable[T]]
) -> list[T | Silence]:
    import asyncio

    from isthmus.console.control_plane import access_to
    from isthmus.console.pilots import Silence
    from isthmus.kube.client import Client

    async def one(context: str) -> T | Silence:
        try:
            async with Client(access_to(flags["kubeconfig"], context or None)) as client:
                return await look(client, context)
        except KubeError as error:
            return Silence(context, str(error))

    return await asyncio.gather(*map(one, contexts or ("",)))
