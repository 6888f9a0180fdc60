"""Which Pilots a command means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Meshed(NamedTuple):
    """Where Pilots are: the clusters that are meant by their contexts, and the namespace of the control plane."""

    kubeconfig: Path | None
    contexts: Sequence[str]
    root: str
    revision: str = ""
    """Only those of this one; empty: of all."""
