"""Flags of commands that draw a mesh: from files, from clusters, or from files over clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from isthmus.console.control_plane import contexts_of
from isthmus.console.live_objects import Held, held_by

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
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
    for option in reversed(_OPTIONS):
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
