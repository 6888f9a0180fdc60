"""`isthmus run`: a part of the mesh as a process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import uvloop

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import settings_from, settings_options
from isthmus.console.render import fail
from isthmus.kit.log import set_up_logs
from isthmus.kit.tasks import run_until_cancelled
from isthmus.kube.errors import InvalidKubeconfig
from isthmus.kube.kubeconfig import Access, from_file, in_cluster
from isthmus.settings import PilotSettings, own_api_server


@click.group("run", cls=ToldWhole)
def command() -> None:
    """Run a part of the mesh: it serves until it is told to stop."""


@command.command("pilot")
@settings_options(PilotSettings)
def pilot(**flags: Any) -> None:
    """Follow all clusters of the mesh, and tell every Envoy what to do."""
    from isthmus.app import run_pilot

    settings = settings_from(PilotSettings, flags)
    set_up_logs(settings.log_level)
    uvloop.run(run_until_cancelled(run_pilot(settings, _own_access(settings.kubeconfig))))


@command.command("citadel")
@click.option("--cluster", required=True, envvar="ISTHMUS_CLUSTER", help="name of the cluster it serves")
@click.option("--trust-domain", default="cluster.local", show_default=True, help="of all identities")
@click.option(
    "--ca-dir",
    type=click.Path(path_type=Path),
    default=Path("/etc/cacerts"),
    show_default=True,
    help="folder with the four CA files, as isthmus ca init makes them",
)
@click.option("--kubeconfig", default="", help="kubeconfig; empty: the pod's service account")
@click.option("--cert-lifetime", default="24h", show_default=True, help="life of workload certificates")
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error")
def citadel(cluster: str, trust_domain: str, ca_dir: Path, **flags: str) -> None:
    """Issue certificates to the workloads of one cluster."""
    from isthmus.ca.authority import Lifetimes
    from isthmus.ca.citadel import CitadelSettings
    from isthmus.ca.in_cluster import run_citadel
    from isthmus.ca.store import InvalidStore
    from isthmus.kit.duration import parse

    set_up_logs(flags["log_level"])
    try:
        lifetime_s = parse(flags["cert_lifetime"])
    except ValueError as error:
        fail(f"--cert-lifetime: {error}")
    settings = CitadelSettings(
        cluster=cluster,
        trust_domain=trust_domain,
        ca_directory=ca_dir,
        lifetimes=Lifetimes(usual_s=lifetime_s),
    )
    try:
        asyncio.run(run_until_cancelled(run_citadel(settings, _own_access(flags["kubeconfig"]))))
    except (InvalidStore, OSError, RuntimeError) as error:  # gRPC says RuntimeError for a port that is taken
        fail(str(error))


def _own_access(kubeconfig: str) -> Access:
    if kubeconfig:
        try:
            return from_file(Path(kubeconfig))
        except InvalidKubeconfig as error:
            fail(str(error))
    address = own_api_server()
    if address is None:
        fail("this is no pod of a cluster (hint: --kubeconfig FILE)")
    return in_cluster(address.host, address.port)
