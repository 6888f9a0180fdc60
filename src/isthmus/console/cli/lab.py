"""`isthmus lab`: Kubernetes clusters in network namespaces, step by step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.api_servers import api_server_option
from isthmus.console.cli.options import output, written
from isthmus.console.render import fail, table
from isthmus.kube.errors import KubeError
from isthmus.lab.state import LabRecord, StateError
from isthmus.lab.stock.programs import NoPrograms
from isthmus.settings import state_folder

if TYPE_CHECKING:
    from isthmus.console.lab_client import LabClient
    from isthmus.lab.spec import ApiServerKind


@click.group("lab", cls=ToldWhole)
def command() -> None:
    """Kubernetes clusters in network namespaces: no Docker, no root."""


def _named(function: Any) -> Any:
    return click.option("--name", default="lab", show_default=True, help="which lab")(function)


def _client(name: str) -> LabClient:
    from isthmus.console.lab_client import LabClient

    return LabClient(state_folder() / name)


def _ask(name: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    import asyncio

    try:
        return asyncio.run(_client(name).ask(method, path, body))
    except KubeError as error:
        fail(str(error))


@command.command("check")
def check() -> None:
    """Show what this machine can do for a lab, and how to mend what it cannot."""
    from isthmus.lab.probe import check_machine, lacks

    checks = check_machine()
    for each in checks:
        mark = "ok" if each.ok else ("MISSING" if each.needed else "without")
        click.echo(f"{mark:8} {each.name}: {each.detail}")
        if not each.ok and each.mend:
            click.echo(f"         hint: {each.mend}")
    if lacks(checks):
        sys.exit(1)


@command.command("up")
@_named
@click.option(
    "-f", "--filename", type=click.Path(path_type=Path), help="lab.yaml; the talk's two clusters else"
)
@click.option("--samples", type=click.Path(path_type=Path), help="folder of the samples")
@click.option(
    "--families",
    type=click.Choice(["ipv4", "both", "ipv6"]),
    default="ipv4",
    show_default=True,
    help="of addresses in all clusters; lab.yaml says it for each",
)
@api_server_option
def up(
    name: str, filename: Path | None, samples: Path | None, families: str, apiserver: ApiServerKind | None
) -> None:
    """Bring the lab up and stay until Ctrl-C; nothing is left behind."""
    from isthmus.console.lab_process import lab_launch, samples_folder
    from isthmus.lab.launch import run
    from isthmus.lab.probe import check_machine, lacks, told
    from isthmus.lab.spec import TALK, SpecError, read_spec, with_api_servers, with_families
    from isthmus.lab.spec import check as check_spec

    try:
        spec = read_spec(filename) if filename else TALK
        spec = with_api_servers(with_families(spec, families), apiserver)
        check_spec(spec)
        if missing := lacks(check_machine()):
            fail(told(missing))
        launch = lab_launch(state_folder() / name, spec, samples or samples_folder())
        sys.exit(run(launch, _announce))
    except (SpecError, StateError, NoPrograms, OSError) as error:
        fail(str(error))


def _announce(record: LabRecord) -> None:
    click.echo(f"up: {', '.join(record.clusters)}; Ctrl-C ends it", err=True)
    files = ":".join(each.kubeconfig for each in record.clusters.values())
    click.echo(f"    export KUBECONFIG={files}", err=True)


@command.command("down")
@_named
def down(name: str) -> None:
    """End a lab that runs elsewhere."""
    _ask(name, "POST", "/down")


@command.command("status")
@_named
@output()
def status(name: str, **flags: str) -> None:
    """Show the clusters and the link between them."""
    answer = _ask(name, "GET", "/status")
    click.echo(written(flags["output"], answer, lambda: _status(answer)))


def _status(answer: dict[str, Any]) -> str:
    rows = [
        (c["name"], c["pods"], c["services"], c["node"], c["region"] or "-", c["zone"] or "-", c["running"])
        for c in answer["clusters"]
    ]
    clusters = table(("CLUSTER", "PODS", "SERVICES", "NODE", "REGION", "ZONE", "RUNNING"), rows)
    link = answer["link"]
    words = f"delay {link['delay_ms']} ms ±{link['jitter_ms']}, loss {link['loss']:.1%}, carried by {link['carrier']}"
    return f"{clusters}\nlink: {'CUT, ' if link['cut'] else ''}{words}"


@command.group("link")
def link() -> None:
    """The link between the clusters."""


@link.command("cut")
@_named
@click.option(
    "--how",
    type=click.Choice(["blackhole", "down"]),
    default="blackhole",
    show_default=True,
    help="whether anybody says so",
)
def cut(name: str, how: str) -> None:
    """Cut it: packets vanish, or (down) routers say that there is no way."""
    _ask(name, "POST", "/link/cut", {"how": how})


@link.command("heal")
@_named
def heal(name: str) -> None:
    """Join it again."""
    _ask(name, "POST", "/link/heal")


@link.command("impair")
@_named
@click.option("--delay-ms", default=0.0, help="one way")
@click.option("--jitter-ms", default=0.0, help="by how much the delay differs from packet to packet")
@click.option("--loss", default=0.0, help="share of packets, 0 to 1")
def impair(name: str, **how: float) -> None:
    """Make it slow or lossy; without flags, make it good again."""
    _ask(name, "POST", "/link/impair", dict(how))


@command.command("kubeconfig")
@_named
@click.argument("cluster")
def kubeconfig(name: str, cluster: str) -> None:
    """Print the path of a cluster's kubeconfig: `export KUBECONFIG=$(isthmus lab kubeconfig gke)`."""
    try:
        click.echo(_client(name).running(cluster).kubeconfig)
    except KubeError as error:
        fail(str(error))


@command.command("open")
@_named
@click.argument("cluster")
@click.argument("service", metavar="SERVICE[.NAMESPACE]")
@click.option("--port", default=80, show_default=True, help="port of the Service")
def open_service(name: str, cluster: str, service: str, port: int) -> None:
    """Print a URL of this machine that leads to a Service; the one opened before is closed."""
    import asyncio

    short, _, namespace = service.partition(".")
    try:
        click.echo(asyncio.run(_client(name).open(cluster, namespace or "default", short, port)))
    except KubeError as error:
        fail(str(error))
