"""Flags of commands that draw a mesh: from files, from clusters, or from files over clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from isthmus.console.control_plane import contexts_of
from isthmus.console.live_objects import Held, held_by

F = TypeVar("F", bound=Callable[..., Any])

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
_CLUSTERS = (
    click.option(
        "--context",
        "contexts",
        multiple=True,
        help="kubeconfig context of a cluster; several may be given, the first has the configuration",
    ),
    click.option(
        "--all-contexts", is_flag=True, help="every context of the kubeconfig; the current one comes first"
    ),
    click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file"),
    click.option(
        "-i", "--istio-namespace", "root", default="istio-system", show_default=True, help="Pilot's namespace"
    ),
)


def cluster_options(command: F) -> F:
    """Gives a command `--context` (several), `--all-contexts`, `--kubeconfig` and `--istio-namespace`."""
    return _with(_CLUSTERS, command)


def file_options(command: F) -> F:
    """Gives a command `--filename` and `--what-if`, several each."""
    return _with(_FILES, command)


def _with(options: Sequence[Callable[[F], F]], command: F) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def chosen(flags: Mapping[str, Any]) -> tuple[str, ...]:
    """The contexts that the flags mean; none: the current one. Raises `KubeError`, `ValueError`."""
    contexts: tuple[str, ...] = flags["contexts"]
    if not flags["all_contexts"]:
        return contexts
    if contexts:
        raise ValueError("--all-contexts stands without --context")
    return contexts_of(flags["kubeconfig"])


def held(flags: Mapping[str, Any]) -> Held:
    """What the clusters hold that the flags mean. Raises `KubeError`, `ValueError`."""
    return asyncio.run(held_by(flags["kubeconfig"], chosen(flags), flags["root"]))
