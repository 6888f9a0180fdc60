"""`isthmus dashboard`: pages of the mesh in a browser of this machine."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.boards import BOARDS
from isthmus.console.cli.options import NAMESPACE, cluster_options, meshed
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    import asyncio

    from isthmus.console.boards import Board
    from isthmus.kube.forward import Forward

_ALSO = {"istiod-debug": "pilot", "controlz": "pilot", "proxy": "envoy"}


class _What(click.Choice[str]):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(_ALSO.get(value, value), param, ctx)


@click.command("dashboard")
@click.argument("what", type=_What(list(BOARDS)))
@click.argument("pod", default="")
@click.option("-r", "--revision", default="", help="that of the Pilot, where several revisions run")
@click.option(
    "--address", default="127.0.0.1", show_default=True, help="address of this machine to listen on"
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="port of this machine; 0: that of the pod, or any that is free",
)
@click.option(
    "--browser", type=bool, default=True, show_default=True, help="open a browser, or print the URL alone"
)
@NAMESPACE
@cluster_options
def command(what: str, pod: str, **flags: Any) -> None:
    """Open the pages of WHAT in a browser, led here through the API server, until Ctrl-C.

    WHAT is Pilot's pages of itself, the admin pages of the Envoy beside POD, or Prometheus, Grafana, Kiali, Jaeger or
    Zipkin where these run: in the namespace of the control plane, or that of -n. Where several pods have the pages,
    POD says whose are meant; without it those of one are opened, and the others are named. Who may forward ports may
    see them.
    """
    import asyncio

    board = BOARDS[what]
    if not board.labels and not pod:
        fail("beside which pod? (hint: isthmus dashboard envoy POD)")
    if flags["revision"] and what != "pilot":
        fail(f"--revision: {what} is of no revision (hint: isthmus dashboard pilot)")
    try:
        asyncio.run(_shown(board, pod, flags))
    except (KubeError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot listen on {flags['address']}: {error.strerror} (hint: --port 0)")


async def _shown(board: Board, pod: str, flags: dict[str, Any]) -> None:
    from isthmus.console.dashboards import place_of
    from isthmus.kube.client import Client
    from isthmus.kube.forward import Forward

    where = meshed(flags)
    place = await place_of(board, where, pod, flags["namespace"], flags["revision"])
    if place.others:
        also = ", ".join(place.others)
        click.echo(f"these are of {place.pod}; the same have {also} (hint: name one behind it)", err=True)
    async with Client(place.access) as client:
        forward = Forward(client, place.namespace, place.pod, board.port)
        server = await _listening(forward, flags["address"], flags["port"], board.port)
        host, port = server.sockets[0].getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}{board.path}"
        click.echo(url)
        if flags["browser"]:
            webbrowser.open(url)
        async with server:
            await server.serve_forever()


async def _listening(forward: Forward, address: str, port: int, usual: int) -> asyncio.Server:
    if port:
        return await forward.listen(address, port)
    try:
        return await forward.listen(address, usual)
    except OSError:
        return await forward.listen(address, 0)
