"""`isthmus options`: the options that commands share, and what holds where they are not given."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import click

from isthmus.console.cli import options
from isthmus.console.cli.options import output, written
from isthmus.console.render import table
from isthmus.kube.errors import KubeError
from isthmus.settings import kubeconfig_paths


class Shared(NamedTuple):
    """An option, what it means, and what holds on this machine without it."""

    option: str
    means: str
    usually: str


@click.command("options")
@output()
def command(output: str) -> None:
    """Show the options that commands share, and what holds here where they are not given.

    Those who know istioctl get by this what `istioctl options` and `istioctl x config list` say.
    """
    found = shared()
    rows = [(each.option, each.means, each.usually or "-") for each in found]
    told = [each._asdict() for each in found]
    click.echo(written(output, told, lambda: table(("OPTION", "MEANS", "USUALLY"), rows)))


def shared() -> list[Shared]:
    """Each option that more than one command has by `console.cli.options`."""

    @options.cluster_options
    @options.with_options(
        (options.NAMESPACE, options.ALL_NAMESPACES, options.REVISION, options.WATCH, output())
    )
    def bearer(**_: Any) -> None:
        """What bears all of them."""

    said = [each for each in click.command()(bearer).params if isinstance(each, click.Option)]
    usual = {"--kubeconfig": _kubeconfig(), "--context": _context()}
    return [_told(each, usual) for each in said]


def _told(option: click.Option, usual: dict[str, str]) -> Shared:
    name = max(option.opts, key=len)
    default = option.get_default(click.Context(click.Command("any")))
    usually = usual.get(name, default if isinstance(default, str) else "")
    return Shared(", ".join(sorted(option.opts, key=len)), option.help or "", usually)


def _kubeconfig() -> str:
    return os.pathsep.join(map(str, kubeconfig_paths()))


def _context() -> str:
    """The current one; empty where there is none."""
    from isthmus.console.control_plane import contexts_of

    try:
        return next(iter(contexts_of(None)), "")
    except KubeError:
        return ""
