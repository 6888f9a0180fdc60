"""Flags of commands that draw a mesh: from files, from clusters, or from files over clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from isthmus.console.cli.options import F, chosen, cluster_options, with_options

if TYPE_CHECKING:
    from isthmus.console.live_objects import Held

__all__ = ["F", "chosen", "cluster_options", "file_options", "held"]

_FILES = (
    click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        help="manifests in place of a running mesh: PATH or CLUSTER=PATH, a folder too, or -",
    ),
    click.option(
        "--what-if",
        "changed",
        multiple=True,
        metavar="FILE",
        help="manifests put on top, of the running mesh too: new objects, or others of the same names",
    ),
)


def file_options(command: F) -> F:
    """Gives a command `--filename` and `--what-if`, several each."""
    return with_options(_FILES)(command)


def held(flags: Mapping[str, Any]) -> Held:
    """What the clusters hold that the flags mean. Raises `KubeError`, `ValueError`."""
    import asyncio

    from isthmus.console.live_objects import held_by

    return asyncio.run(held_by(flags["kubeconfig"], chosen(flags), flags["root"]))
