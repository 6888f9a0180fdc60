"""The process inside the lab's namespaces: `python -m isthmus.lab.inner INHERITED SPEC SAMPLES`."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

import msgspec
import uvloop

from isthmus.kit import garbage
from isthmus.kit.log import log
from isthmus.kit.log_levels import set_up_logs
from isthmus.lab.control import Control
from isthmus.lab.launch import Inherited
from isthmus.lab.spec import LabSpec
from isthmus.lab.state import StateFolder
from isthmus.lab.world import Lab


async def run(inherited: Inherited, spec: LabSpec, samples: Path) -> None:
    """The lab, until the outer process or the control socket asks for its end."""
    lab = Lab(spec, StateFolder(Path(inherited.state)), samples)
    doors = {name: inherited.door(name) for name in inherited.doors if name != "control"}
    control = Control(lab)
    runner = await control.serve(inherited.door("control"))
    try:
        await lab.up(doors, inherited.outer_pid)
        for name, door in doors.items():
            if not name.startswith("api-"):
                lab.publish(name, door)
        gc.freeze()
        log.info("lab is up", clusters=list(lab.clusters))
        ends = (asyncio.ensure_future(inherited.released()), asyncio.ensure_future(control.asked_down.wait()))  # noqa: TID251 - two ways to end
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await lab.down()
        await runner.cleanup()


def main() -> None:
    """The entry point: arguments as the launcher gives them."""
    garbage.look_seldom()
    inherited = Inherited.decode(sys.argv[1])
    spec, samples = msgspec.json.decode(sys.argv[2], type=LabSpec), Path(sys.argv[3])
    with (Path(inherited.state) / "logs" / "lab.log").open("a") as file:
        for stream in (1, 2):  # what libraries print belongs into the log, not into the story
            os.dup2(file.fileno(), stream)
        set_up_logs(to=file)
        uvloop.run(run(inherited, spec, samples))


if __name__ == "__main__":
    main()
