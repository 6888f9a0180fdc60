"""`isthmus proxy config`: what an Envoy holds, a command for each part."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import (
    KUBECONFIG,
    NAMESPACE,
    F,
    chosen,
    output,
    with_options,
    written,
)
from isthmus.console.proxy_log import loggers, refusal, wanted_levels
from isthmus.console.render import fail, render_rows, table
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.errors import KubeError, Refused

if TYPE_CHECKING:
    from isthmus.kube.pods import Question

_ALSO = {
    short: part
    for part, words in {
        "all": "a",
        "bootstrap": "b",
        "clusters": "cluster c",
        "endpoints": "endpoint ep eds",
        "listeners": "listener l",
        "log": "o",
        "routes": "route r",
        "secret": "secrets s",
    }.items()
    for short in words.split()
}
"""What istioctl calls the parts, too."""
_FILTERS = {
    "service": "only what has this in the service's name",
    "port": "only this port",
    "fqdn": "only this service, whole or without its domain",
    "direction": "only this direction: inbound or outbound",
    "subset": "only this subset",
    "address": "only this address",
    "type": "only listeners of this type: HTTP or TCP",
    "name": "only the resource of this name",
    "cluster": "only endpoints of this upstream, or in this cluster",
    "status": "only endpoints of this health: healthy, unhealthy",
}
_OF_PART = {
    "clusters": ("fqdn", "port", "direction", "subset", "service"),
    "endpoints": ("address", "port", "cluster", "status", "service"),
    "listeners": ("address", "port", "type", "service"),
    "routes": ("name", "service", "port"),
    "secret": ("name",),
    "ecds": ("name",),
}


_TITLES = {
    "clusters": "the upstreams that the Envoy beside POD holds",
    "endpoints": "the endpoints that the Envoy beside POD holds, and their health",
    "listeners": "the listeners that the Envoy beside POD holds, a row for each filter chain",
    "routes": "the routes that the Envoy beside POD holds, in the order in which they are tried",
    "secret": "the certificates that the Envoy beside POD holds, and when they end",
    "ecds": "the filters that the Envoy beside POD was sent by themselves",
}


@click.group("config", cls=ToldWhole, also=_ALSO)
def config() -> None:
    """What an Envoy holds, by its parts: tables, or with -o json Envoy's own words."""


POD_IN_CLUSTERS = (
    click.argument("pod", default=""),
    NAMESPACE,
    click.option(
        "--context",
        "contexts",
        multiple=True,
        help="kubeconfig context of a cluster; the pod is looked for in all that are given",
    ),
    click.option(
        "--all-contexts", is_flag=True, help="every context of the kubeconfig; the current one comes first"
    ),
    KUBECONFIG,
)
"""A pod, and the clusters in which it is looked for."""
_FILE = click.option(
    "-f",
    "--filename",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="a config_dump, in place of POD",
)


def _filter_options(part: str) -> Callable[[F], F]:
    return with_options(
        [click.option(f"--{each}", default="", help=_FILTERS[each]) for each in _OF_PART[part]]
    )


def _shows(part: str) -> None:
    @config.command(part, help=f"Show {_TITLES[part]}.")
    @with_options(POD_IN_CLUSTERS)
    @_FILE
    @_filter_options(part)
    @output()
    def shown(pod: str, **flags: Any) -> None:
        dump, clusters = _dumps(pod, flags)
        filters = {each: flags[each] for each in _OF_PART[part]}
        click.echo(_part(part, (dump, clusters), filters, flags["output"]))


for _each in _TITLES:
    _shows(_each)


@config.command("all")
@with_options(POD_IN_CLUSTERS)
@_FILE
@output()
def whole(pod: str, **flags: Any) -> None:
    """Show all parts of what the Envoy beside POD holds; with -o json its dump as it is."""
    from isthmus.console.shown import show, show_yaml

    dump, clusters = _dumps(pod, flags)
    form = flags["output"]
    if form in {"json", "yaml"}:
        click.echo(show(dump) if form == "json" else show_yaml(dump))
        return
    click.echo("\n\n".join(_part(part, (dump, clusters), {}, form) for part in _TITLES))


@config.command("bootstrap")
@with_options(POD_IN_CLUSTERS)
@_FILE
@output(forms=("json", "yaml"))
def bootstrap(pod: str, **flags: Any) -> None:
    """Show what the Envoy beside POD was started with."""
    from isthmus.console.envoy_parts import section
    from isthmus.console.shown import show, show_yaml

    dump, _ = _dumps(pod, flags)
    found = section(dump, "BootstrapConfigDump").get("bootstrap", {})
    click.echo(show(found) if flags["output"] == "json" else show_yaml(found))


@config.command("log")
@with_options(POD_IN_CLUSTERS)
@click.option("--level", default="", help="set: a level for all loggers, or NAME:LEVEL, with commas between")
@click.option("-r", "--reset", is_flag=True, help="set all loggers to warning")
@output()
def log(pod: str, level: str, *, reset: bool, **flags: Any) -> None:
    """Show how much the Envoy beside POD logs, by its loggers, and set it while it runs."""
    import asyncio

    from isthmus.console.programs import ADMIN_PORT
    from isthmus.kube.pods import Question

    try:
        query = wanted_levels("warning" if reset else level)
        said = asyncio.run(
            asked(pod, flags, *(Question(ADMIN_PORT, f"/logging{each}", "POST") for each in query))
        )
        found = loggers(said[-1].decode())
    except Refused as error:
        fail(refusal(str(error), level) if level else str(error))
    except (KubeError, ValueError) as error:
        fail(str(error))
    click.echo(written(flags["output"], found, lambda: table(("LOGGER", "LEVEL"), sorted(found.items()))))


@config.command("rootca-compare")
@click.argument("first", metavar="POD")
@click.argument("second", metavar="POD")
@with_options(POD_IN_CLUSTERS[1:])
@output()
def rootca_compare(first: str, second: str, **flags: Any) -> None:
    """Compare the roots by which the Envoys beside two pods believe others, in whatever clusters they are.

    Ends with 1 where one holds a root that the other does not: between them, who has a certificate of that root is
    believed in one direction only.
    """
    import asyncio

    from isthmus.console.compared_roots import compared, is_same
    from isthmus.console.envoy_parts import DUMP
    from isthmus.console.programs import ADMIN_PORT
    from isthmus.kube.pods import Question

    try:
        dumps = [asyncio.run(asked(pod, flags, Question(ADMIN_PORT, f"/{DUMP}"))) for pod in (first, second)]
        one, other = (msgspec.json.decode(said[0]) for said in dumps)
        found = compared(one, other)
    except (KubeError, ValueError) as error:
        fail(str(error))
    head = ("ROOT", "FOR", "SHA256", "ENDS", first.upper(), second.upper())
    rows = [each.text for each in found]
    click.echo(written(flags["output"], [each._asdict() for each in found], lambda: table(head, rows)))
    if not is_same(found):
        sys.exit(1)


@config.command("names")
@with_options(POD_IN_CLUSTERS)
@click.option("--service", default="", help=_FILTERS["service"])
@output()
def names(pod: str, service: str, **flags: Any) -> None:
    """Show the names that the agent beside POD answers, as Pilot told it."""
    import asyncio

    from isthmus.console.proxy_names import names_of

    try:
        found = asyncio.run(_names(pod, flags))
    except (KubeError, ValueError) as error:
        fail(str(error))
    rows = [row for row in names_of(found) if service in f"{row.name} {row.stands_for}"]
    text = [(row.name, row.addresses or "-", row.stands_for or "-") for row in rows]
    click.echo(written(flags["output"], rows, lambda: table(("NAME", "ADDRESSES", "STANDS FOR"), text)))


def _part(part: str, dumps: tuple[Any, Any], filters: dict[str, str], form: str) -> str:
    from isthmus.console.envoy_parts import PARTS, resources_of, rows_of
    from isthmus.console.shown import show, show_yaml

    rows = rows_of(part, *dumps, filters)
    if form in {"json", "yaml"}:
        found = resources_of(part, dumps[0], frozenset(row.resource for row in rows))
        return show(found) if form == "json" else show_yaml(found)
    return render_rows(rows, frozenset() if form == "wide" else PARTS[part].wide)


def _dumps(pod: str, flags: dict[str, Any]) -> tuple[Any, Any]:
    """Envoy's dump, and what it says of its upstreams; ends with an error where there is none."""
    import asyncio

    from isthmus.console.envoy_parts import DUMP, ENDPOINTS
    from isthmus.console.programs import ADMIN_PORT
    from isthmus.kube.pods import Question

    file = flags["file"]
    if bool(file) == bool(pod):
        fail("whose? (hint: POD, or -f FILE with what /config_dump?include_eds of an Envoy answers)")
    try:
        if file:
            with click.open_file(str(file), "rb") as opened:
                return msgspec.json.decode(opened.read(), type=dict[str, Any]), {}
        said = asyncio.run(
            asked(pod, flags, Question(ADMIN_PORT, f"/{DUMP}"), Question(ADMIN_PORT, f"/{ENDPOINTS}"))
        )
        dump, clusters = (msgspec.json.decode(each) for each in said)
    except UNREADABLE as error:
        fail(f"{file}: is no config_dump: {error}")
    except (KubeError, ValueError) as error:
        fail(str(error))
    return dump, clusters


async def asked(pod: str, flags: dict[str, Any], *questions: Question) -> list[bytes]:
    """What a pod's ports answer; the flags are those of `POD_IN_CLUSTERS`. Raises `KubeError`, `ValueError`."""
    from isthmus.console.found_pods import find_pod
    from isthmus.kube.client import Client
    from isthmus.kube.pods import ask

    if not pod:
        raise ValueError("whose? (hint: POD)")
    found = await find_pod(flags["kubeconfig"], chosen(flags), pod, flags["namespace"])
    async with Client(found.access) as client:
        return [await ask(client, found.namespace, found.name, each) for each in questions]


async def _names(pod: str, flags: dict[str, Any]) -> Any:
    from isthmus.console.found_pods import find_pod
    from isthmus.console.proxy_names import pod_table

    found = await find_pod(flags["kubeconfig"], chosen(flags), pod, flags["namespace"])
    return await pod_table(found.access, found.namespace, found.name)
