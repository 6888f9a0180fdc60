"""`isthmus explain`: where a call goes, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from isthmus.api.errors import InvalidConfig
from isthmus.console import explanation_text
from isthmus.console.cli.mesh_options import chosen, cluster_options, file_options
from isthmus.console.cli.options import output, written
from isthmus.console.explanations import Explanation
from isthmus.console.render import fail
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.calls import Target
    from isthmus.console.drawn_pods import Addresses
    from isthmus.console.explain_dns import NameExplained
    from isthmus.console.explain_files import FromFiles
    from isthmus.console.live_objects import Live

    Explained = Explanation | NameExplained

_DNS = "dns://"


@click.command("explain")
@click.argument("caller", metavar="FROM")
@click.argument("url", metavar="TO")
@file_options
@click.option(
    "--without-cluster", default="", metavar="CLUSTER", help="as if no endpoint in this cluster answered"
)
@click.option(
    "--without-network",
    default="",
    metavar="A:B",
    help="as if these two networks or clusters did not reach each other",
)
@click.option("--cluster", default="", help="FROM's cluster, where several have such a pod")
@cluster_options
@click.option("--method", default="GET", show_default=True, help="of HTTP")
@click.option("--path", default="", help="in place of TO's")
@click.option("--host", default="", help="the Host header, in place of TO's")
@click.option("-H", "--header", "headers", multiple=True, help="NAME: VALUE; may be given several times")
@output()
def command(caller: str, url: str, **flags: Any) -> None:
    """Show where a call of the pod FROM to the URL TO goes, and why.

    With -f from manifests alone; else of the running mesh, by what the proxies on both sides hold: in the
    clusters of --context (several), or of the current context. With --what-if, by what would be made of the
    objects that these clusters hold once FILE were applied.

    FROM is a pod or the beginning of its name, `namespace/name` where it is not in the default one. TO is
    what the application would call: http://reviews:9080/reviews/0, tcp://ratings-db:3306, grpc, https, mysql,
    udp://syslog:514; or a name that it looks up, dns://reviews.
    """
    if flags["without_network"] and (":" not in flags["without_network"] or flags["without_cluster"]):
        fail("--without-network: is A:B, and stands without --without-cluster (hint: cloud:premises)")
    if flags["files"] and (flags["contexts"] or flags["all_contexts"]):
        fail("-f is in place of a running mesh (hint: --what-if FILE puts manifests on top of one)")
    try:
        found = _explained(caller, url, flags)
    except (InvalidConfig, KubeError, ValueError) as error:
        fail(str(error))
    click.echo(written(flags["output"], found, lambda: _text(found)))


def _explained(caller: str, url: str, flags: dict[str, Any]) -> Explained:
    if url.startswith(_DNS):
        return _name(caller, url.removeprefix(_DNS), flags)
    return _call(caller, _target(url, flags), flags)


def _call(caller: str, target: Target, flags: dict[str, Any]) -> Explanation:
    from isthmus.console.calls import WrongCall
    from isthmus.console.explain import Explainer

    live = _live(flags)
    if live is not None and not flags["changed"]:
        import asyncio

        from isthmus.console.explain_live import explain_live

        return asyncio.run(explain_live(live, caller, target, flags["cluster"], _lost(flags)))
    given: Addresses = {}
    before = _drawn(flags, live, given)
    after = _drawn(flags, live, given, flags["changed"]) if flags["changed"] else before
    found = Explainer(after, _lost(flags)).explain(caller, target, flags["cluster"])
    if after is before and not _lost(flags):
        return found
    try:
        return found.against(Explainer(before).explain(caller, target, flags["cluster"]))
    except WrongCall:
        return found.against(None)


def _name(caller: str, name: str, flags: dict[str, Any]) -> NameExplained:
    from isthmus.console.explain import Explainer

    live = _live(flags)
    if live is not None and not flags["changed"]:
        import asyncio

        from isthmus.console.explain_live import explain_name_live

        return asyncio.run(explain_name_live(live, caller, name, flags["cluster"]))
    source = _drawn(flags, live, {}, flags["changed"])
    return Explainer(source).explain_name(caller, name, flags["cluster"])


def _drawn(
    flags: dict[str, Any], live: Live | None, given: Addresses, changed: tuple[str, ...] = ()
) -> FromFiles:
    """Of manifests, or of what clusters hold, with others on top."""
    from isthmus.console.drawn_mesh import draw
    from isthmus.console.explain_files import FromFiles
    from isthmus.console.written import given_manifests

    held = {name: each.objects for name, each in live.items()} if live is not None else None
    return FromFiles(draw(given_manifests([*flags["files"], *changed]), held, given))


def _live(flags: dict[str, Any]) -> Live | None:
    """What clusters hold; None where manifests are in their place."""
    if flags["files"]:
        return None
    import asyncio

    from isthmus.console.live_objects import clusters_of

    return asyncio.run(clusters_of(flags["kubeconfig"], chosen(flags), flags["root"]))


def _lost(flags: dict[str, Any]) -> str:
    """What is away, as `losses` reads it."""
    return str(flags["without_cluster"] or flags["without_network"])


def _target(url: str, flags: dict[str, Any]) -> Target:
    from isthmus.console.calls import Target

    return Target(
        url=url,
        method=flags["method"],
        path=flags["path"],
        host=flags["host"],
        headers=tuple(_header(each) for each in flags["headers"]),
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.BadParameter(f"{text!r} is no header (hint: --header 'end-user: jason')")
    return name.strip(), value.strip()


def _text(found: Explained) -> str:
    from isthmus.console import explain_dns

    if isinstance(found, Explanation):
        return explanation_text.text_of(found)
    return explain_dns.text_of(found)
