"""`isthmus ca rotate`: from one CA to another, in all clusters, without a call that fails."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.mesh_options import chosen, cluster_options
from isthmus.console.cli.options import WATCH, output, written
from isthmus.console.render import fail
from isthmus.console.watching import follow
from isthmus.kit.duration import parse
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.ca.rotation import Rotation
    from isthmus.console.ca_clusters import Reached
    from isthmus.console.rotation_look import Seen
    from isthmus.console.rotation_steps import Steps

    Stands = tuple[Rotation | None, tuple[Seen, ...]]

F = TypeVar("F", bound=Callable[..., Any])
_LOOK_AGAIN_S = 1.0


@click.group("rotate", cls=ToldWhole)
def command() -> None:
    """Change the CA of all clusters, and its root, while calls go on.

    In stages: start has all trust the new roots beside the old, switch has the new CAs sign, finish has all
    forget the roots that sign no more. A stage is refused until every proxy holds the one before; abort leads back,
    a stage at a time. What is cut off goes on when the command is given again. Each needs --context for every
    cluster of the mesh, that of Pilot first.
    """


def _step(function: F) -> F:
    leave = click.option(
        "--leave-behind",
        "left",
        multiple=True,
        metavar="NAME",
        help="a proxy (POD.NAMESPACE) or cluster that is not waited for; it may be cut off",
    )
    return cluster_options(leave(function))


_DIRECTORY = click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))


@command.command("start")
@_DIRECTORY
@_step
def start(directory: Path, left: tuple[str, ...], **flags: Any) -> None:
    """Have all trust the roots of the CAs in DIRECTORY; no key leaves it yet.

    DIRECTORY is as isthmus ca init makes it: the files of a cluster are in a directory of its name, or lie in
    DIRECTORY for all clusters. Clusters without files keep their CA.
    """
    _take(flags, left, lambda steps: steps.start(directory))


@command.command("switch")
@_DIRECTORY
@_step
def switch(directory: Path, left: tuple[str, ...], **flags: Any) -> None:
    """Have the CAs in DIRECTORY sign, once all trust their roots; all proxies renew their certificates."""
    _take(flags, left, lambda steps: steps.switch(directory))


@command.command("finish")
@_step
def finish(left: tuple[str, ...], **flags: Any) -> None:
    """Have all forget the roots that sign no more, once all proxies have certificates of the new CAs."""
    _take(flags, left, lambda steps: steps.finish())


@command.command("abort")
@_step
def abort(left: tuple[str, ...], **flags: Any) -> None:
    """Go back a stage: the old CAs sign again, or, where they do, all forget the new roots."""
    _take(flags, left, lambda steps: steps.abort())


@command.command("status")
@click.option("--wait", metavar="DURATION", help="until all hold the stage, so long at the most, like 10m")
@WATCH
@output()
@cluster_options
def status(wait: str | None, *, watch: bool, **flags: Any) -> None:
    """Show the stage, who holds it and who does not; exit 1 while some do not."""
    form = flags["output"]
    try:
        limit_s = parse(wait) if wait else 0.0
        if watch and wait:
            fail("--watch stands without --wait")
        if watch:
            follow(lambda: _text(_stands(flags, 0.0), form), by_lines=form in {"table", "wide"})
        found = _stands(flags, limit_s)
    except (KubeError, ValueError) as error:
        fail(str(error))
    click.echo(_text(found, form))
    if any(each.why for each in found[1]):
        sys.exit(1)


def _stands(flags: dict[str, Any], limit_s: float) -> Stands:
    import asyncio

    return asyncio.run(_within(flags, lambda found: _watch(found, limit_s)))


def _text(found: Stands, form: str) -> str:
    from isthmus.console.rotation_text import render_rotation

    rotation, seen = found
    if rotation is None:
        return "there was no rotation (hint: isthmus ca rotate start DIRECTORY)"
    told = {"rotation": msgspec.to_builtins(rotation), "seen": [each._asdict() for each in seen]}
    return written(form, told, lambda: render_rotation(rotation, seen))


def _take(flags: dict[str, Any], left: tuple[str, ...], step: Callable[[Steps], Awaitable[Rotation]]) -> None:
    import asyncio

    from isthmus.console.ca_clusters import must_be_all
    from isthmus.console.rotation_steps import CannotRotate, Steps
    from isthmus.console.rotation_text import render_stage
    from isthmus.kit.clock import SystemClock

    async def taken(found: Reached) -> Rotation:
        await must_be_all(found, left)
        return await step(Steps(found, SystemClock(), left))

    try:
        rotation = asyncio.run(_within(flags, taken))
    except (KubeError, CannotRotate, ValueError) as error:
        fail(str(error))
    click.echo(render_stage(rotation))
    click.echo("who holds it: isthmus ca rotate status")


T = TypeVar("T")


async def _within(flags: dict[str, Any], job: Callable[[Reached], Awaitable[T]]) -> T:
    from isthmus.console.ca_clusters import reached

    async with reached(flags["kubeconfig"], chosen(flags), flags["root"]) as found:
        return await job(found)


async def _watch(found: Reached, limit_s: float) -> Stands:
    from isthmus.console.rotation_look import look
    from isthmus.console.rotation_state import RotationState
    from isthmus.kit.clock import SystemClock

    clock = SystemClock()
    end = clock.monotonic() + limit_s
    while True:
        rotation = await RotationState(found.config.client, found.config.namespace).read()
        seen = await look(found, rotation) if rotation is not None else ()
        if not any(each.why for each in seen) or clock.monotonic() >= end:
            return rotation, seen
        await clock.sleep(_LOOK_AGAIN_S)
