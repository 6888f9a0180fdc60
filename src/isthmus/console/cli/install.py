"""`isthmus install`: print the manifests of a role, to be piped into kubectl."""

from __future__ import annotations

import click

from isthmus.console.installation import ROLES, Installation, documents, dump


@click.command("install")
@click.argument("role", type=click.Choice(list(ROLES)))
@click.option("--cluster", required=True, help="name of the cluster in the mesh")
@click.option("-n", "--namespace", default="istio-system", show_default=True)
@click.option("--network", default="", help="name of the cluster's network; empty: the one flat network")
@click.option("--image", default="isthmus/isthmus:0.1.0", show_default=True)
@click.option("--trust-domain", default="cluster.local", show_default=True)
@click.option("--domain", default="cluster.local", show_default=True, help="DNS domain of the clusters")
@click.option("--access-log", default="", help="file for Envoy's access log, such as /dev/stdout")
@click.option("--clusters-dir", default="", help="directory of the node with the cluster registry (primary)")
@click.option("--pilot-address", "pilot_addresses", multiple=True, help="where Pilot is at first (remote)")
def command(role: str, **flags: object) -> None:
    """Print the manifests of ROLE: `isthmus install primary --cluster east | kubectl apply -f -`."""
    click.echo(dump(documents(role, Installation(**flags))), nl=False)  # type: ignore[arg-type] # click made them
