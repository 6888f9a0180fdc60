"""`isthmus proxy`: the Envoys of the mesh, as Pilots see them and as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import msgspec

from isthmus.console.cli import ToldWhole
from isthmus.console.cli.options import (
    ALL_NAMESPACES,
    NAMESPACE,
    REVISION,
    WATCH,
    chosen,
    cluster_options,
    meshed,
    output,
    written,
)
from isthmus.console.cli.proxy_config import config
from isthmus.console.cli.proxy_stats import stats
from isthmus.console.render import fail, table
from isthmus.console.watching import follow
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.differing_proxies import Difference
    from isthmus.console.found_pods import FoundPod
    from isthmus.console.pilots import Answers


@click.group("proxy", cls=ToldWhole)
def command() -> None:
    """The Envoys of the mesh."""


command.add_command(config)
command.add_command(stats)


@command.command("status")
@click.argument("pod", default="")
@NAMESPACE
@ALL_NAMESPACES
@REVISION
@cluster_options
@WATCH
@output()
def status(pod: str, *, watch: bool, **flags: Any) -> None:
    """Show whether each proxy has what Pilot sent it, and in which cluster it is.

    All Pilots are asked, in the clusters of --context (several) that have one, or of the current context. With
    POD, show what of Pilot's configuration the Envoy beside it does not hold, and end with 1 if there is any.
    """
    try:
        if pod:
            _show_differences(pod, flags)
        elif watch:
            follow(lambda: _status(flags), by_lines=flags["output"] in {"table", "wide"})
        else:
            click.echo(_status(flags))
    except (KubeError, ValueError) as error:
        fail(str(error))


def _status(flags: dict[str, Any]) -> str:
    from isthmus.console.pilots import proxies_of
    from isthmus.console.proxies import in_namespace, render_status

    answers = _asked(flags, "/debug/proxies")
    namespace = "" if flags["all_namespaces"] else flags["namespace"]
    proxies = in_namespace(proxies_of(answers.told), namespace)
    return written(flags["output"], proxies, lambda: render_status(proxies, wide=flags["output"] == "wide"))


def _asked(flags: dict[str, Any], path: str) -> Answers:
    import asyncio

    from isthmus.console.pilots import ask_pilots

    answers = asyncio.run(ask_pilots(meshed(flags), path))
    for each in answers.silent:
        click.echo(f"warning: {each}", err=True)
    return answers


def _show_differences(pod: str, flags: dict[str, Any]) -> None:
    import asyncio

    from isthmus.console.differing_proxies import differences
    from isthmus.console.pilots import ask_pilots

    found, envoy = asyncio.run(_of_pod(pod, flags))
    path = f"/debug/config_dump?proxyID={quote(str(found))}"
    answers = asyncio.run(ask_pilots(meshed(flags), path))
    differing = differences(_whole([each.said for each in answers.told]), envoy)
    click.echo(
        written(flags["output"], [each._asdict() for each in differing], lambda: _text(found, differing))
    )
    if differing:
        raise SystemExit(1)


def _whole(dumps: list[dict[str, Any]]) -> dict[str, Any]:
    """What all Pilots that know the proxy tell it: its Envoy's, as a rule of one."""
    return {"configs": [part for each in dumps for part in each["configs"] if len(part) > 1]}


async def _of_pod(pod: str, flags: dict[str, Any]) -> tuple[FoundPod, dict[str, Any]]:
    from isthmus.console.envoy_parts import DUMP
    from isthmus.console.found_pods import find_pod
    from isthmus.console.programs import ADMIN_PORT
    from isthmus.kube.client import Client
    from isthmus.kube.pods import fetch

    found = await find_pod(flags["kubeconfig"], chosen(flags), pod, flags["namespace"])
    async with Client(found.access) as client:
        said = await fetch(client, found.namespace, found.name, ADMIN_PORT, f"/{DUMP}")
    return found, msgspec.json.decode(said)


def _text(found: FoundPod, differing: list[Difference]) -> str:
    if not differing:
        return f"the Envoy beside {found} holds what Pilot has for it"
    return table(("PART", "NAME", "WHAT"), differing)
