"""`isthmus version`: which releases this command, Pilots and proxies are of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli.options import REVISION, cluster_options, meshed, output, written
from isthmus.console.render import fail, table
from isthmus.kit.release import RELEASE
from isthmus.kube.errors import KubeError

if TYPE_CHECKING:
    from isthmus.console.pilots import Told


@click.command("version")
@click.option("--remote/--client", default=True, show_default=True, help="whether Pilots are asked as well")
@click.option("-s", "--short", is_flag=True, help="releases alone")
@REVISION
@cluster_options
@output()
def command(*, remote: bool, short: bool, **flags: Any) -> None:
    """Show the release of this command, of each Pilot, and of the Envoys that are connected to them.

    All Pilots are asked, in the clusters of --context (several) that have one, or of the current context.
    """
    said: dict[str, Any] = {"command": RELEASE}
    if remote:
        import asyncio

        try:
            said |= asyncio.run(_remote(flags))
        except (KubeError, ValueError) as error:
            fail(f"{error}; isthmus version --client asks nobody")
    wide = flags["output"] == "wide"
    click.echo(written(flags["output"], said, lambda: _short(said) if short else _text(said, wide=wide)))


async def _remote(flags: dict[str, Any]) -> dict[str, Any]:
    import asyncio

    from isthmus.console.pilots import ask_pilots, proxies_of

    where = meshed(flags)
    pilots, proxies = await asyncio.gather(
        *(ask_pilots(where, path) for path in ("/debug/clusters", "/debug/proxies"))
    )
    for each in pilots.silent:
        click.echo(f"warning: {each}", err=True)
    return {
        "pilots": [_pilot(each) for each in pilots.told],
        "proxies": [
            {key: each[key] for key in ("name", "cluster", "version", "release")}
            for each in proxies_of(proxies.told)
        ],
    }


def _pilot(told: Told) -> dict[str, str]:
    return {"pod": told.pod, "context": told.context, "release": told.said["release"]}


def _counted(releases: list[str]) -> str:
    counts = sorted(Counter(each or "unknown" for each in releases).items())
    return ", ".join(f"{release} ({count})" for release, count in counts) or "none"


def _short(said: dict[str, Any]) -> str:
    return "\n".join(dict.fromkeys([RELEASE, *(each["release"] for each in said.get("pilots", ()))]))


def _text(said: dict[str, Any], *, wide: bool) -> str:
    lines = [f"command   {said['command']}"]
    if "pilots" in said:
        proxies = said["proxies"]
        lines += [f"pilots    {_counted([each['release'] for each in said['pilots']])}"]
        lines += [f"envoys    {_counted([each['version'] for each in proxies])}"]
        lines += [f"agents    {_counted([each['release'] for each in proxies])}"]
    if wide and "pilots" in said:
        pilots = [
            ("pilot", each["pod"], each["context"] or "-", each["release"], "-") for each in said["pilots"]
        ]
        envoys = [
            ("proxy", each["name"], each["cluster"] or "-", each["release"] or "-", each["version"] or "-")
            for each in said["proxies"]
        ]
        lines += ["", table(("WHAT", "NAME", "CLUSTER", "RELEASE", "ENVOY"), (*pilots, *envoys))]
    return "\n".join(lines)
