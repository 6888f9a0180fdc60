"""`isthmus install`: print the manifests of a role, to be piped into kubectl."""

from __future__ import annotations

import click

from isthmus.console.citadel_installation import CHOICES
from isthmus.console.installation import ROLES, Installation, InvalidInstallation, documents, dump
from isthmus.console.render import fail


@click.command("install")
@click.argument("role", type=click.Choice(list(ROLES)))
@click.option("--cluster", required=True, help="name of the cluster in the mesh")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="of the control plane")
@click.option(
    "--in",
    "place",
    default="",
    help="namespace of the gateway and its Secrets; without it that of the control plane",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    help="Secret of that namespace that Pilot may read; without it all, but in the control plane's own namespace none",
)
@click.option("--network", default="", help="name of the cluster's network; empty: the one flat network")
@click.option("--image", default="isthmus/isthmus:0.1.0", show_default=True, help="of all containers")
@click.option("--trust-domain", default="cluster.local", show_default=True, help="of all identities")
@click.option(
    "--pilot-trust-domain",
    default="",
    help="of Pilot, where this cluster has one of its own; empty: the same (remote)",
)
@click.option("--domain", default="cluster.local", show_default=True, help="DNS domain of the clusters")
@click.option("--access-log", default="", help="file for Envoy's access log, such as /dev/stdout")
@click.option("--clusters-dir", default="", help="directory of the node with the cluster registry (primary)")
@click.option(
    "--managed-gateways/--no-managed-gateways",
    default=True,
    show_default=True,
    help="whether Pilot may run an Envoy for each Gateway of the Gateway API, in any namespace (primary)",
)
@click.option(
    "--pilot-address",
    "pilot_addresses",
    multiple=True,
    help="IP address of Pilot's pod until Pilot, once it follows this cluster, writes it itself (remote)",
)
@click.option(
    "--ca",
    type=click.Choice(CHOICES),
    help="plugged-in: from Secret cacerts, for which Citadel waits; self-signed: a root that Citadel makes and "
    "keeps in istio-ca-secret; either: the first, if it is there. Usually either (primary), plugged-in (remote)",
)
@click.option(
    "--renewals", is_flag=True, help="open port 8061 of Citadel, where a certificate proves who asks"
)
@click.option(
    "--account-secrets",
    multiple=True,
    help="namespace in which Citadel keeps a Secret istio.ACCOUNT for each service account, as in 2018; *: in all",
)
@click.option(
    "--vouch",
    "vouched",
    multiple=True,
    help="CLUSTER=NAMESPACE,… or CLUSTER=*: for whom a cluster's word counts at Citadel, see isthmus run citadel",
)
def command(role: str, ca: str | None, **flags: object) -> None:
    """Print the manifests of ROLE: `isthmus install primary --cluster east | kubectl apply -f -`.

    \b
    primary         Citadel and Pilot, and the kinds that Pilot reads
    remote          Citadel, and the names by which sidecars find another's Pilot
    gateway         an Envoy for traffic from outside
    egress-gateway  an Envoy by which traffic leaves
    secret-reader   what Pilot needs to read the Secrets of one more namespace, or some of them
    remote-secrets  what Pilot needs to find clusters in labelled Secrets (primary without --clusters-dir has it)
    gateway-api     the kinds of the Gateway API, where a cluster has no release of them
    eastwest        an Envoy that lets in calls from other networks
    networks        what such Envoys let in; once, where configuration is read

    Secret cacerts is made from what isthmus ca init writes. To apply again is to change what differs.
    """
    try:
        text = dump(documents(role, Installation(ca=ca or "", **flags)))  # type: ignore[arg-type] # click made them
    except InvalidInstallation as error:
        fail(str(error))
    click.echo(text, nl=False)
