"""`isthmus proxy`: the Envoys of the mesh, as Pilot sees them and as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from isthmus.console import envoy_view
from isthmus.console.cli.render import fail, show, table
from isthmus.console.control_plane import access_to, ask_envoy, ask_pilot
from isthmus.kube.errors import KubeError

F = Callable[..., Any]
_PARTS = ("clusters", "endpoints", "listeners", "routes")


@click.group("proxy")
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
        answer = asyncio.run(ask_pilot(kubeconfig, context, namespace, "/debug/syncz"))
    except KubeError as error:
        fail(str(error))
    if output == "json":
        click.echo(show(answer))
        return
    click.echo(render_status(answer))


def render_status(proxies: list[dict[str, Any]]) -> str:
    """The table of `proxy status`, and under it what proxies said of what they rejected."""
    types = ("CDS", "EDS", "LDS", "RDS")
    rows = [
        (
            each["name"],
            each["cluster"],
            *(each["types"].get(name, {}).get("state", "NOT SENT") for name in types),
        )
        for each in sorted(proxies, key=lambda each: (each["cluster"], each["name"]))
    ]
    lines = [table(("NAME", "CLUSTER", *types), rows)]
    for each in proxies:
        for name, held in each["types"].items():
            if held.get("error"):
                lines.append(f"{each['name']}: {name} rejected: {held['error']}")
    return "\n".join(lines)


def _state(proxy: dict[str, Any], name: str) -> str:
    return str(proxy["types"].get(name, {}).get("state", "NOT SENT"))


@command.command("config")
@click.argument("part", type=click.Choice(_PARTS))
@click.argument("pod")
@_where
@click.option("-n", "--namespace", default="default", show_default=True, help="the pod's namespace")
@click.option("--service", default="", help="only what has this in the service's name")
@click.option("--port", default="", help="only this port")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")
def config(part: str, pod: str, namespace: str, **flags: Any) -> None:
    """Show a PART of what the Envoy beside POD holds. POD may be the beginning of a pod's name."""
    try:
        access = access_to(flags["kubeconfig"], flags["context"])
        rows = asyncio.run(read_part(part, access, namespace, pod))
    except KubeError as error:
        fail(str(error))
    rows = [row for row in rows if _wanted(row, flags["service"], flags["port"])]
    click.echo(show(rows) if flags["output"] == "json" else render_rows(rows))


async def read_part(part: str, access: Any, namespace: str, pod: str) -> list[Any]:
    """The rows of one part of a proxy's configuration."""
    match part:
        case "clusters":
            (dump,) = await ask_envoy(access, namespace, pod, "config_dump")
            return list(envoy_view.upstreams(dump))
        case "endpoints":
            dump, clusters = await ask_envoy(
                access, namespace, pod, "config_dump?include_eds", "clusters?format=json"
            )
            return list(envoy_view.endpoints(dump, clusters))
        case "listeners":
            (dump,) = await ask_envoy(access, namespace, pod, "config_dump")
            return list(envoy_view.listeners(dump))
        case _:
            (dump,) = await ask_envoy(access, namespace, pod, "config_dump")
            return list(envoy_view.routes(dump))


def render_rows(rows: list[Any]) -> str:
    """A table with one column for each field."""
    if not rows:
        return "nothing found"
    fields = rows[0].__struct_fields__
    head = [name.replace("_", " ").upper() for name in fields]
    return table(head, [[getattr(row, name) or "-" for name in fields] for row in rows])


def _wanted(row: msgspec.Struct, service: str, port: str) -> bool:
    text = " ".join(str(value) for value in msgspec.structs.astuple(row))
    if service and service not in text:
        return False
    return not port or port in {str(getattr(row, "port", "")), *text.replace("|", " ").split()}
