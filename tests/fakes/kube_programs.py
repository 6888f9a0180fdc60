"""Upstream's etcd, kube-apiserver and kube-controller-manager, and kubectl, where this machine has them."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from isthmus.lab.stock.programs import ASSETS, PROGRAMS

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl on the path")
"""`make setup` brings it, unless neither a package nor its makers are in reach."""
_UNTIL = "ISTHMUS_ASKS_UNTIL"
"""When it is too late, in seconds since 1970, to begin with a test that asks upstream's API servers."""
_SOURCE = Path(__file__).parents[2] / "tools/kubernetes"


def kube_programs():
    """The folder of the programs: the one that is named, or that `tools/apiserver` has built; None without them."""
    named = os.environ.get(ASSETS)
    folder = Path(named) if named else Path.home() / ".cache/isthmus" / f"kubernetes-{_built_from()}"
    return folder if all((folder / each).exists() for each in PROGRAMS) else None


def _built_from():
    read = [(_SOURCE / name).read_bytes() for name in ("go.mod", "go.sum", "main.go")]
    return hashlib.sha256(b"".join(read)).hexdigest()[:16]


def skip_where_it_is_late() -> None:
    """Skip what asks upstream's API servers, where it has been said until when to begin with such (ADR 0059)."""
    if time.time() > float(os.environ.get(_UNTIL, "inf")):
        pytest.skip("time is up for what asks real API servers (hint: make test-kube)")
