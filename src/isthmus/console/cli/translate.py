"""`isthmus translate`: manifests in, Envoy configuration out, without a cluster."""

from __future__ import annotations

from typing import Any

import click

from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.console.cli.options import output
from isthmus.console.render import fail
from isthmus.console.sent_parts import ENVOYS


@click.command("translate")
@click.option("-f", "--filename", "files", required=True, multiple=True, help="PATH, CLUSTER=PATH or -")
@click.option(
    "--proxy", default="", metavar="POD[.NAMESPACE]", help="whose configuration; its beginning is enough"
)
@click.option("--cluster", default="", help="the proxy's cluster, where several have such a pod")
@click.option(
    "--type", "parts", multiple=True, type=click.Choice(ENVOYS), help="these parts alone; may be several"
)
@click.option("--name", default="*", metavar="PATTERN", help="these resources alone, with stars")
@output("envoy", forms=("yaml", "json"))
def command(files: tuple[str, ...], proxy: str, **flags: Any) -> None:
    """Show what a proxy is sent, for manifests and a pod in them.

    With -o envoy, a bootstrap that holds all of it: `envoy --mode validate -c` takes it. Without --proxy, the
    one file is a case, which says itself which proxy and which parts are meant, as those in tests/golden.
    """
    from isthmus.console.drawn_mesh import draw
    from isthmus.console.named_pods import workload_named
    from isthmus.console.proxy_resources import resources, trees
    from isthmus.console.shown import show, show_yaml
    from isthmus.console.static_bootstrap import as_json, static_bootstrap
    from isthmus.console.written import given_manifests

    form = flags["output"]
    try:
        if not proxy:
            click.echo(_of_case(files))
            return
        drawn = draw(given_manifests(files))
        workload = workload_named(drawn.generation.mesh, proxy, flags["cluster"])
        found = resources(drawn, workload, () if form == "envoy" else flags["parts"])
        if form == "envoy":
            click.echo(as_json(static_bootstrap(found, f"{workload.name}.{workload.namespace}")))
            return
        made = trees(found, flags["name"], whole=not flags["parts"])
    except (InvalidConfig, UnknownKind, ValueError) as error:
        fail(str(error))
    for each in drawn.findings:
        click.echo(f"# {each}", err=True)
    click.echo(show(made) if form == "json" else show_yaml(made))


_NO_CASE = "(hint: --proxy POD, for manifests)"


def _of_case(files: tuple[str, ...]) -> str:
    from isthmus.console.shown import show_yaml
    from isthmus.console.written import given_manifests
    from isthmus.translate.offline import read_case
    from isthmus.translate.show import shown

    found = given_manifests(files)
    if len(found) != 1:
        raise ValueError(f"a case is one file {_NO_CASE}")
    (case,) = found
    try:
        return show_yaml(shown(read_case(case.text)))
    except UnknownKind as error:
        raise ValueError(f"{case.name}: {error} {_NO_CASE}") from error
    except (InvalidConfig, ValueError) as error:
        raise ValueError(f"{case.name}: {error}") from error
