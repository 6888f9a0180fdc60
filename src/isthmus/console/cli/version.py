"""`isthmus version`: which releases this command, Pilots and proxies are of."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import click

from isthmus.console.control_plane import ask_pilot
from isthmus.console.render import fail, show
from isthmus.kit.release import RELEASE
from isthmus.kube.errors import KubeError


@click.command("version")
@click.option("--remote/--client", default=True, show_default=True, help="whether Pilot is asked as well")
@click.option("--context", help="kubeconfig context of the cluster that Pilot runs in")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file")
@click.option("-n", "--namespace", default="istio-system", show_default=True, help="Pilot's namespace")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    *, remote: bool, context: str | None, kubeconfig: Path | None, namespace: str, output: str
) -> None:
    """Show the release of this command, of Pilot, and of the Envoys that are connected to it."""
    said: dict[str, Any] = {"command": RELEASE}
    if remote:
        try:
            clusters, proxies = asyncio.run(_asked(kubeconfig, context, namespace))
        except KubeError as error:
            fail(f"{error} (hint: isthmus version --client asks nobody)")
        said["pilot"] = clusters["release"]
        said["envoys"] = dict(sorted(Counter(each["version"] or "unknown" for each in proxies).items()))
    click.echo(show(said) if output == "json" else _text(said))


async def _asked(kubeconfig: Path | None, context: str | None, namespace: str) -> tuple[Any, Any]:
    clusters = await ask_pilot(kubeconfig, context, namespace, "/debug/clusters")
    return clusters, await ask_pilot(kubeconfig, context, namespace, "/debug/proxies")


def _text(said: dict[str, Any]) -> str:
    lines = [f"command   {said['command']}"]
    if "pilot" in said:
        envoys = ", ".join(f"{version} ({count})" for version, count in said["envoys"].items())
        lines += [f"pilot     {said['pilot']}", f"envoys    {envoys or 'none is connected'}"]
    return "\n".join(lines)
