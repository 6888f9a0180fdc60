"""A lab for a test's own use, with what is built on it.

ISTHMUS_LAB_APISERVER=kube has all of them on upstream's API servers.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from isthmus.console.demo.stage import Stage
from isthmus.console.lab_client import LabClient
from isthmus.console.lab_process import lab_launch, samples_folder
from isthmus.lab.launch import start
from isthmus.lab.spec import ApiServerKind, LabSpec, with_api_servers
from isthmus.lab.stock.programs import NoPrograms, stock_programs

APISERVER = "ISTHMUS_LAB_APISERVER"


@contextmanager
def own_lab(folder: Path, spec: LabSpec, build: Callable[[Stage], Awaitable[None]]) -> Iterator[Stage]:
    """The lab's stage inside the block, once all that `build` claims has held; afterwards the lab is gone."""
    if wanted := os.environ.get(APISERVER):
        spec = with_api_servers(spec, msgspec.convert(wanted, ApiServerKind))
    if any(each.api_server == "kube" for each in spec.clusters):
        needs_stock_programs()
    lab = start(lab_launch(folder, spec, samples_folder()))
    stage = Stage(LabClient(folder), samples_folder(), Console(quiet=True))
    try:
        asyncio.run(_up(stage, build))
        yield stage
    finally:
        lab.stop()


def needs_stock_programs() -> None:
    """Skip where upstream's programs are not on this machine."""
    try:
        stock_programs(os.environ)
    except NoPrograms as error:
        pytest.skip(str(error))


async def _up(stage: Stage, build: Callable[[Stage], Awaitable[None]]) -> None:
    log = (stage.lab.folder / "logs" / "lab.log").read_text
    assert await stage.lab.ready(60), log()
    await build(stage)
    broken = [claim for claim in stage.verdict.claims if not claim.held]
    assert not broken, (broken, log()[-3000:])
