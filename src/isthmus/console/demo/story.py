"""The story from beginning to end: the lab comes up, each chapter is told, nothing is left."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

from isthmus.console.demo import chapters_build, chapters_use
from isthmus.console.demo.stage import Stage
from isthmus.console.demo.traces import left_of, traces_below
from isthmus.console.lab_client import LabClient
from isthmus.console.lab_process import lab_launch
from isthmus.kube.errors import KubeError
from isthmus.lab.launch import LaunchedLab, start
from isthmus.lab.spec import LabSpec

Chapter = Callable[[Stage], Awaitable[None]]

CHAPTERS: tuple[Chapter, ...] = (
    chapters_build.clusters,
    chapters_build.one_root,
    chapters_build.control_plane,
    chapters_build.bookinfo,
    chapters_build.on_premises,
    chapters_build.proof,
    chapters_use.routing,
    chapters_use.cut_link,
    chapters_use.kill_pilot,
)
_UP_LIMIT_S = 60.0


class Story:
    """One telling of the demo. `end` must be called, whatever happens."""

    def __init__(self, folder: Path, spec: LabSpec, samples: Path, console: Console, *, keep: bool) -> None:
        self._folder, self._spec, self._samples = folder, spec, samples
        self._console, self._keep = console, keep
        self._lab: LaunchedLab | None = None

    async def tell(self) -> bool:
        """Whether all claims held."""
        stage = Stage(LabClient(self._folder), self._samples, self._console)
        for name in ("clusters", "registry", "ca", "kubectl-cache"):
            _remove(self._folder / name)
        self._lab = start(lab_launch(self._folder, self._spec, self._samples))
        with self._console.status("two clusters come up…"):
            if not await stage.lab.ready(_UP_LIMIT_S):
                log = self._folder / "logs" / "lab.log"
                self._console.print(f"[bold red]the lab did not come up[/]: see {log}")
                return False
        for chapter in CHAPTERS:
            try:
                await chapter(stage)
            except KubeError as error:
                stage.claim(
                    f"{chapter.__name__} can be told to its end", "no error", held=False, seen=str(error)
                )
                break
        self._console.print()
        self._console.print(stage.verdict.table())
        if self._keep:
            await self._stay(stage)
        return stage.verdict.held

    def end(self) -> bool:
        """End the lab; whether something of it was left."""
        if self._lab is None:
            return False
        own = traces_below(self._lab.pid)
        with own.numbers_kept():
            self._lab.stop()
            left = left_of(own)
        if left:
            self._console.print(f"[bold red]✘[/] left behind: {left}")
        else:
            self._console.print(f"[green]✔[/] nothing is left of {own}")
        return bool(left)

    async def _stay(self, stage: Stage) -> None:
        self._console.print(f"\nproduct page: [bold]{stage.lab.page_url}[/]")
        for cluster in ("gke", "onprem"):
            self._console.print(
                f"{cluster}: export KUBECONFIG={stage.lab.kubeconfig(cluster)}", soft_wrap=True
            )
        self._console.print("Ctrl-C ends it and leaves nothing behind.")
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked.set)
        await asked.wait()


def _remove(path: Path) -> None:
    for each in sorted(path.rglob("*"), reverse=True) if path.is_dir() else ():
        each.rmdir() if each.is_dir() and not each.is_symlink() else each.unlink()
    if path.is_dir():
        path.rmdir()
