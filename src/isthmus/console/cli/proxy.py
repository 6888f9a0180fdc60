"""`isthmus proxy`: the Envoys of the mesh, as Pilot sees them and as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from isthmus.console.cli import ToldWhole
from isthmus.console.control_plane import access_to, ask_pilot
from isthmus.console.proxies import read_part, render_rows, render_status
from isthmus.console.render import fail, show
from isthmus.kube.errors import KubeError

F = Callable[..., Any]
_PARTS = ("clusters", "endpoints", "listeners", "routes", "names")


@click.group("proxy", cls=ToldWhole)
def command() -> None:
    """The Envoys of the mesh."""


def _where(function: F) -> F:
    for option in (
        click.option("--context", help="kubeconfig context"),
        click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file"),
    ):
        function = option(function)
    return function


@command.command("status")
@_where
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="Pilot's namespace")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def status(context: str | None, kubeconfig: Path | None, namespace: str, output: str) -> None:
    """Show whether each proxy has what Pilot sent it, and in which cluster it is."""
    try:
        answer = asyncio.run(ask_pilot(kubeconfig, context, namespace, "/debug/proxies"))
    except KubeError as error:
        fail(str(error))
    if output == "json":
        click.echo(show(answer))
        return
    click.echo(render_status(answer))


@command.command("config")
@click.argument("part", type=click.Choice(_PARTS))
@click.argument("pod")
@_where
@click.option("-n", "--namespace", default="default", show_default=True, help="the pod's namespace")
@click.option("--service", default="", help="only what has this in the service's name")
@click.option("--port", default="", help="only this port")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def config(part: str, pod: str, namespace: str, **flags: Any) -> None:
    """Show a PART of what the Envoy beside POD holds, or the names that its agent answers.

    POD may be the beginning of a pod's name.
    """
    try:
        access = access_to(flags["kubeconfig"], flags["context"])
        rows = asyncio.run(read_part(part, access, namespace, pod))
    except KubeError as error:
        fail(str(error))
    rows = [row for row in rows if _wanted(row, flags["service"], flags["port"])]
    click.echo(show(rows) if flags["output"] == "json" else render_rows(rows))


def _wanted(row: msgspec.Struct, service: str, port: str) -> bool:
    text = " ".join(str(value) for value in msgspec.structs.astuple(row))
    if service and service not in text:
        return False
    return not port or port in {str(getattr(row, "port", "")), *text.replace("|", " ").split()}
