"""`isthmus explain`: where a call goes, and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from isthmus.api.errors import InvalidConfig
from isthmus.console.calls import Target, WrongCall
from isthmus.console.explanations import Explanation
from isthmus.console.render import fail, show
from isthmus.kube.errors import KubeError


@click.command("explain")
@click.argument("caller", metavar="FROM")
@click.argument("url", metavar="TO")
@click.option(
    "-f", "--filename", "files", multiple=True, help="manifests: PATH or CLUSTER=PATH, a folder too"
)
@click.option(
    "--what-if",
    "changed",
    multiple=True,
    help="manifests put on top: a new object, or another of the same name",
)
@click.option("--without-cluster", default="", help="as if no endpoint in this cluster answered")
@click.option(
    "--without-network",
    default="",
    metavar="A:B",
    help="as if these two networks or clusters did not reach each other",
)
@click.option("--cluster", default="", help="FROM's cluster, where several have such a pod")
@click.option("--context", help="of a running mesh: kubeconfig context of FROM's cluster")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="of a running mesh: kubeconfig file")
@click.option("--method", default="GET", show_default=True, help="of HTTP")
@click.option("--path", default="", help="in place of TO's")
@click.option("--host", default="", help="the Host header, in place of TO's")
@click.option("--header", "headers", multiple=True, help="NAME: VALUE; may be given several times")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(caller: str, url: str, output: str, **flags: Any) -> None:
    """Show where a call of the pod FROM to the URL TO goes, and why.

    With -f from manifests alone; else of the running mesh, by what the proxies on both sides hold.

    FROM is a pod or the beginning of its name, `namespace/name` where it is not in the default one. TO is
    what the application would call: http://reviews:9080/reviews/0, tcp://ratings-db:3306, grpc, https, mysql,
    udp://syslog:514; or a name that it looks up, dns://reviews.
    """
    target = Target(
        url=url,
        method=flags["method"],
        path=flags["path"],
        host=flags["host"],
        headers=tuple(_header(each) for each in flags["headers"]),
    )
    if flags["without_network"] and (":" not in flags["without_network"] or flags["without_cluster"]):
        fail("--without-network: is A:B, and stands without --without-cluster (hint: cloud:premises)")
    if url.startswith(_DNS):
        _explain_name(caller, url.removeprefix(_DNS), output, flags)
        return
    try:
        found = _explained(caller, target, flags)
    except (InvalidConfig, KubeError, ValueError) as error:
        fail(str(error))
    from isthmus.console.explanation_text import text_of

    click.echo(show(found) if output == "json" else text_of(found))


_DNS = "dns://"


def _explain_name(caller: str, name: str, output: str, flags: dict[str, Any]) -> None:
    from isthmus.console.explain_dns import text_of

    try:
        if flags["files"]:
            found = _from_files(flags).explain_name(caller, name, flags["cluster"])
        else:
            from isthmus.console.control_plane import access_to
            from isthmus.console.proxy_names import explain_live_name

            found = asyncio.run(
                explain_live_name(access_to(flags["kubeconfig"], flags["context"]), caller, name)
            )
    except (InvalidConfig, KubeError, ValueError) as error:
        fail(str(error))
    click.echo(show(found) if output == "json" else text_of(found))


def _from_files(flags: dict[str, Any]) -> Any:
    from isthmus.console.drawn_mesh import draw, read_manifests
    from isthmus.console.explain import Explainer
    from isthmus.console.explain_files import FromFiles

    return Explainer(FromFiles(draw(read_manifests([*flags["files"], *flags["changed"]]))), _lost(flags))


def _explained(caller: str, target: Target, flags: dict[str, Any]) -> Explanation:
    """From files where there are some, else of the running mesh."""
    if flags["files"]:
        explained: Explanation = _from_files(flags).explain(caller, target, flags["cluster"])
        return explained
    if flags["changed"]:
        raise WrongCall(
            "--what-if changes manifests, and there are none (hint: give those of the mesh by -f)"
        )
    from isthmus.console.control_plane import access_to
    from isthmus.console.explain_live import explain_live

    access = access_to(flags["kubeconfig"], flags["context"])
    return asyncio.run(explain_live(access, caller, target, _lost(flags)))


def _lost(flags: dict[str, Any]) -> str:
    """What is away, as `losses` reads it."""
    return str(flags["without_cluster"] or flags["without_network"])


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.BadParameter(f"{text!r} is no header (hint: --header 'end-user: jason')")
    return name.strip(), value.strip()
