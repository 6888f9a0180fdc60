"""Flags of commands that draw a mesh: from files, from clusters, or from files over clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from isthmus.console.live_objects import Held, held_by

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--context",
        "contexts",
        multiple=True,
        help="kubeconfig context of a cluster; the first has the configuration",
    ),
    click.option("--kubeconfig", type=click.Path(path_type=Path), help="kubeconfig file"),
    click.option(
        "-i", "--istio-namespace", "root", default="istio-system", show_default=True, help="Pilot's namespace"
    ),
)


def cluster_options(command: F) -> F:
    """Gives a command `--context` (several), `--kubeconfig` and `--istio-namespace`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def held(contexts: tuple[str, ...], kubeconfig: Path | None, root: str) -> Held:
    """What the clusters hold that the flags mean. Raises `KubeError`."""
    return asyncio.run(held_by(kubeconfig, contexts, root))
