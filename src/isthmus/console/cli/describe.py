"""`isthmus describe`: what the mesh makes of a pod or a Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from isthmus.api.errors import InvalidConfig
from isthmus.console.cli import ToldWhole
from isthmus.console.cli.mesh_options import cluster_options, file_options, held
from isthmus.console.cli.options import output, written
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.description import Describer


@click.group("describe", cls=ToldWhole, also={"po": "pod", "svc": "service"})
def command() -> None:
    """What the mesh makes of a pod or a Service."""


@command.command("pod")
@click.argument("name", metavar="POD[.NAMESPACE]")
@click.option("--cluster", default="", help="the pod's cluster, where several have such a pod")
@file_options
@cluster_options
@output()
def pod(name: str, **flags: Any) -> None:
    """Show who a pod is, which services lead to it, on which terms it may be called, and what holds for its proxy.

    Read are the clusters of --context (several), or of the current context, or with -f manifests.
    """
    from isthmus.console.description import text_of_pod

    try:
        found = _describer(flags).pod(name, flags["cluster"])
    except (InvalidConfig, KubeError, ValueError) as error:
        fail(str(error))
    click.echo(written(flags["output"], found, lambda: text_of_pod(found)))


@command.command("service")
@click.argument("name", metavar="NAME[.NAMESPACE]")
@file_options
@cluster_options
@output()
def service(name: str, **flags: Any) -> None:
    """Show a service of the whole mesh: ports, endpoints in each cluster, rules for it, and Gateways that expose it.

    Read are the clusters of --context (several), or of the current context, or with -f manifests.
    """
    from isthmus.console.description import text_of_service

    try:
        found = _describer(flags).service(name)
    except (InvalidConfig, KubeError, ValueError) as error:
        fail(str(error))
    click.echo(written(flags["output"], found, lambda: text_of_service(found)))


def _describer(flags: dict[str, Any]) -> Describer:
    from isthmus.console.description import Describer
    from isthmus.console.drawn_mesh import draw
    from isthmus.console.written import given_manifests

    if flags["files"] and (flags["contexts"] or flags["all_contexts"]):
        raise ValueError(
            "-f is in place of a running mesh (hint: --what-if FILE puts manifests on top of one)"
        )
    live = None if flags["files"] else held(flags)
    return Describer(draw(given_manifests([*flags["files"], *flags["changed"]]), live))
