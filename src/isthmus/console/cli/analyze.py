"""`isthmus analyze`: what is wrong or doubtful in the configuration."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.console.cli.mesh_options import F, chosen, cluster_options, held
from isthmus.console.cli.options import meshed, output
from isthmus.console.meshed import Meshed
from isthmus.console.render import fail, table
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.fault import Fault


def _threshold(of: str, usual: str, text: str) -> Callable[[F], F]:
    from isthmus.console.fault_filter import LEVELS

    kinds = click.Choice(LEVELS)
    return click.option(f"--{of}-threshold", type=kinds, default=usual, show_default=True, help=text)


@click.command("analyze")
@click.argument("files", nargs=-1)
@cluster_options
@click.option(
    "--use-kube", is_flag=True, help="lay FILES over what the clusters hold; without FILES, read these"
)
@click.option("-n", "--namespace", default="", help="show the findings of this namespace alone")
@click.option("-A", "--all-namespaces", is_flag=True, help="show those of all namespaces, as without -n")
@click.option(
    "--suppress", multiple=True, metavar="CODE=OBJECT", help="as 'IST0103=Pod shop/*'; may be several"
)
@_threshold("output", "info", "show what matters as much, or more")
@_threshold("failure", "error", "end with 79 where anything matters as much")
@click.option("-R", "--recursive", is_flag=True, help="look into folders of folders, which is done anyway")
@click.option("-L", "--list-analyzers", is_flag=True, help="say what is looked at, and end")
@output("sarif")
def command(files: tuple[str, ...], **flags: Any) -> None:
    """Show the findings of the running mesh, or of FILES by themselves, or of FILES over the running mesh.

    FILES are manifests or folders of them, or - for stdin; CLUSTER=PATH says in which cluster they are, and
    with --use-kube clusters are called as the mesh calls them, else as their contexts. Ends with 79 if any
    finding matters as much as --failure-threshold, with 1 if it could not look, else with 0.
    """
    from isthmus.console.fault_filter import FOUND, matters, shown, suppression
    from isthmus.console.fault_output import OUTPUTS

    if flags["list_analyzers"]:
        click.echo(_list())
        return
    try:
        suppressed = [suppression(each) for each in flags["suppress"]]
        namespace = "" if flags["all_namespaces"] else flags["namespace"]
        found = tuple(shown(_found(files, flags), namespace, suppressed, flags["output_threshold"]))
    except (KubeError, InvalidConfig, ValueError) as error:
        fail(str(error))
    click.echo(OUTPUTS[flags["output"]](found))
    if any(matters(each, flags["failure_threshold"]) for each in found):
        sys.exit(FOUND)


def _found(files: tuple[str, ...], flags: dict[str, Any]) -> tuple[Fault, ...]:
    from isthmus.console.faults import faults_together
    from isthmus.console.written import given_manifests

    contexts = chosen(flags)
    if flags["use_kube"] or (not files and len(contexts) > 1):
        return tuple(faults_together(given_manifests(files), held(flags)))
    if files:
        return tuple(faults_together(given_manifests(files)))
    return _of_pilots(meshed(flags))


def _of_pilots(where: Meshed) -> tuple[Fault, ...]:
    """What any Pilot finds: of workloads that register themselves, and of proxies, each knows only its own."""
    import asyncio

    from isthmus.console.fault import Fault
    from isthmus.console.pilots import ask_pilots

    answers = asyncio.run(ask_pilots(where, "/debug/findings"))
    for each in answers.silent:
        click.echo(f"warning: {each}", err=True)
    told = (msgspec.convert(each.said, tuple[Fault, ...]) for each in answers.told)
    return tuple(dict.fromkeys(found for some in told for found in some))


def _list() -> str:
    from isthmus.model.analyze.checks import CHECKS

    rows = []
    for check in CHECKS:
        where = check.__module__.rpartition(".")[2]
        rows.append((f"{where}.{check.__name__}", (inspect.getdoc(check) or "").partition("\n")[0]))
    return table(("ANALYZER", "HOLDS THAT"), rows)
