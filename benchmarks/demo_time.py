"""How long from the command until the page shows red stars from the private cluster, after set-up."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path

from rich.console import Console

from isthmus.console.demo import chapters_build
from isthmus.console.demo.stage import Stage
from isthmus.console.lab_client import LabClient
from isthmus.console.lab_process import lab_launch, samples_folder
from isthmus.lab.launch import start
from isthmus.lab.spec import TALK

ROUNDS = 3
CHAPTERS = (
    chapters_build.clusters,
    chapters_build.one_root,
    chapters_build.control_plane,
    chapters_build.bookinfo,
    chapters_build.on_premises,
)


async def tell(stage: Stage) -> float:
    """Seconds until red stars."""
    await stage.lab.ready(60)
    for chapter in CHAPTERS:
        await chapter(stage)
    if not stage.verdict.held:
        raise SystemExit("the demo's claims did not hold")
    return stage.passed_s()


def main() -> None:
    """Measure and print."""
    found = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            stage = Stage(LabClient(Path(folder)), samples_folder(), Console(quiet=True))
            lab = start(lab_launch(Path(folder), TALK, samples_folder()))
            try:
                found.append(asyncio.run(tell(stage)))
            finally:
                lab.stop()
    each = ", ".join(f"{seconds:.1f}" for seconds in found)
    print(f"command -> red stars from the private cluster: median {statistics.median(found):.1f} s of {each}")


if __name__ == "__main__":
    main()
