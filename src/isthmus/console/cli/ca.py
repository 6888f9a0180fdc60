"""`isthmus ca`: the root of trust."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli import ToldWhole, ca_deny, ca_rotate
from isthmus.console.cli.ca_status import status
from isthmus.console.cli.durations import DURATION
from isthmus.console.render import fail
from isthmus.kit.key_kind import KeyKind
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.ca.founding import Founding

_FOLDER = click.Path(path_type=Path)
_KINDS = [kind.value for kind in KeyKind]


@click.group("ca", cls=ToldWhole)
def command() -> None:
    """The root of trust."""


command.add_command(status)
command.add_command(ca_rotate.command)
for each in (ca_deny.deny, ca_deny.allow, ca_deny.denied):
    command.add_command(each)


def _choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """What can be chosen for the CAs of clusters."""
    for option in (
        click.option("-n", "--namespace", default="istio-system", show_default=True, help="of Citadel"),
        click.option(
            "--dns", "further", multiple=True, help="a further domain that a constrained CA may sign for"
        ),
        click.option(
            "--domain", default="cluster.local", show_default=True, help="DNS domain of the clusters"
        ),
        click.option(
            "--trust-domain",
            default="cluster.local",
            show_default=True,
            help="to which --constrained holds a CA",
        ),
        click.option(
            "--constrained",
            is_flag=True,
            help="hold each CA to the trust domain and to its own cluster's name, whatever its key is used for",
        ),
        click.option(
            "--path-length",
            type=click.IntRange(0, 5),
            default=0,
            show_default=True,
            help="how many CAs may stand below a cluster's",
        ),
        click.option(
            "--life", type=DURATION, default="43800h", show_default=True, help="how long a cluster's CA lives"
        ),
        click.option(
            "--key", type=click.Choice(_KINDS), default=_KINDS[0], show_default=True, help="of new keys"
        ),
        click.option(
            "--organisation", default="Isthmus", show_default=True, help="how the certificates are called"
        ),
    ):
        command = option(command)
    return command


@command.command("init")
@click.argument("directory", type=_FOLDER)
@click.option("--cluster", "clusters", multiple=True, help="make an intermediate CA for this cluster")
@click.option(
    "--root-life", type=DURATION, default="87600h", show_default=True, help="how long a new root lives"
)
@_choices
def init(directory: Path, clusters: tuple[str, ...], root_life: float, **flags: Any) -> None:
    """Make a root and the plug-in CA files for Secret `cacerts`. Nothing is ever overwritten.

    With --cluster, once for each cluster, the four files of a cluster lie in DIRECTORY/CLUSTER, and come from
    one root, so that the clusters believe each other. Clusters can be added later. The root's key stays
    in DIRECTORY: keep it off the clusters.
    """
    from isthmus.ca import founding

    clusters = tuple(dict.fromkeys(clusters))
    if flags["constrained"] and not clusters:
        fail("--constrained: holds the CAs of clusters to their names (hint: --cluster NAME)")
    _make(founding.found, directory, _founding(clusters, root_life_s=root_life, **flags), flags["namespace"])


@command.command("intermediate")
@click.argument("cluster")
@click.option(
    "-d", "--directory", type=_FOLDER, default=Path(), show_default="the current one", help="of the root"
)
@_choices
def intermediate(cluster: str, directory: Path, **flags: Any) -> None:
    """Make the CA of CLUSTER under the root that is in the directory; needs no cluster and no network.

    The four files of Secret `cacerts` lie in DIRECTORY/CLUSTER then. The CA never lives longer than the root.
    """
    from isthmus.ca import founding

    _make(founding.found_intermediate, directory, _founding((cluster,), **flags), flags["namespace"])


@command.command("export")
@click.argument("directory", type=_FOLDER)
@click.option("--kubeconfig", type=_FOLDER, help="kubeconfig of the cluster whose Citadel made the root")
@click.option("--context", help="context in it")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="Citadel's namespace")
def export(directory: Path, kubeconfig: Path | None, context: str | None, namespace: str) -> None:
    """Fetch the root that Citadel made for itself, to make CAs of other clusters under it.

    Writes root-cert.pem and root-key.pem into DIRECTORY, as `isthmus ca init` does: `isthmus ca intermediate`
    goes on from there. With the key in DIRECTORY one can be anybody in the mesh: delete it afterwards.
    """
    import asyncio

    from isthmus.ca import store
    from isthmus.ca.founding import CannotFound
    from isthmus.console.exported_root import export_root

    try:
        paths = asyncio.run(export_root(directory, kubeconfig, context, namespace))
    except (KubeError, store.InvalidStore, CannotFound) as error:
        fail(str(error))
    for path in paths:
        click.echo(f"wrote {path}")
    click.echo(f"next: isthmus ca intermediate CLUSTER --directory {directory}")


@command.command("check")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
def check(directory: Path) -> None:
    """Check the four CA files in DIRECTORY as Citadel would; exit 1 if it would not take them."""
    from isthmus.ca import store
    from isthmus.kit import x509
    from isthmus.kit.clock import SystemClock

    now = SystemClock().now()
    try:
        material = store.verify(store.read(directory), now)
    except store.InvalidStore as error:
        fail(str(error))
    for each in material.chain:
        end = datetime.fromtimestamp(x509.life(each).end, UTC)
        click.echo(f"{x509.names(each).common_name}: until {end:%Y-%m-%d}, SHA-256 {x509.fingerprint(each)}")


def _founding(clusters: tuple[str, ...], root_life_s: float = 0.0, **flags: Any) -> Founding:
    from isthmus.ca.founding import Constraint, Founding

    constraint = Constraint(
        trust_domain=flags["trust_domain"],
        domain=flags["domain"],
        namespace=flags["namespace"],
        further=flags["further"],
    )
    return Founding(
        clusters=clusters,
        organisation=flags["organisation"],
        root_life_s=root_life_s or Founding().root_life_s,
        intermediate_life_s=flags["life"],
        key_kind=KeyKind(flags["key"]),
        below=flags["path_length"],
        constraint=constraint if flags["constrained"] else None,
    )


def _make(make: Callable[..., tuple[Path, ...]], directory: Path, choices: Founding, namespace: str) -> None:
    from isthmus.ca import store
    from isthmus.ca.founding import CannotFound

    try:
        for path in make(directory, choices):
            click.echo(f"wrote {path}")
    except CannotFound as error:
        fail(str(error))
    secret = f"create secret generic {store.SECRET} -n {namespace}"
    for cluster in choices.clusters:
        click.echo(f"next, in {cluster}: kubectl --context {cluster} create namespace {namespace}")
        place = f"--from-file={directory / cluster}"
        click.echo(f"next, in {cluster}: kubectl --context {cluster} {secret} {place}")
    if not choices.clusters:
        files = " ".join(f"--from-file={directory / name}" for name in store.FILES)
        click.echo(f"next: kubectl {secret} {files}")
    rotate = f"isthmus ca rotate start {directory}"
    click.echo(f"or, in a mesh that has a CA: {rotate}, with --context for each of its clusters")
