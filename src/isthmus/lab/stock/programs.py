"""Upstream's programs, where this machine has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
ASSETS = "KUBEBUILDER_ASSETS"
"""Names the folder of the programs: the convention of controller-runtime's envtest."""
HINT = f"hint: run tools/apiserver in a checkout of Isthmus, or name their folder in {ASSETS}"
_USUAL = Path("/usr/local/kubebuilder/bin")


class NoPrograms(Exception):
    """None of the folders that they are looked for in has all of them."""


def stock_programs(environment: Mapping[str, str], named: str = "") -> Path:
    """Their folder: the one that is `named`, that of the environment, the newest that was built, or envtest's usual.

    Raises `NoPrograms`.
    """
    looked_in = [Path(named)] if named else list(_folders(environment))
    for folder in looked_in:
        if all((folder / each).exists() for each in PROGRAMS):
            return folder
    where = ", ".join(map(str, looked_in))
    raise NoPrograms(f"{', '.join(PROGRAMS)} are not all in any of {where} ({HINT})")


def _folders(environment: Mapping[str, str]) -> Iterator[Path]:
    if named := environment.get(ASSETS):
        yield Path(named)
        return
    built = Path(environment.get("HOME", "/root")) / ".cache/isthmus"
    yield from sorted(built.glob("kubernetes-*[0-9a-f]"), key=lambda each: each.stat().st_mtime, reverse=True)
    yield _USUAL
