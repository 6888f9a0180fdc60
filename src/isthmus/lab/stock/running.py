"""Programs that run in a network namespace of the lab, and are started again when they end by themselves."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from isthmus.kit.clock import Clock
from isthmus.kit.log import log
from isthmus.lab.netns import NetworkNamespace, run_in
from isthmus.lab.stock.options import Options, command

_LOOK_S = 0.25
_SAID_BYTES = 2000


@dataclass(frozen=True, slots=True)
class _Wanted:
    options: Options
    goes_with: str


class Running:
    """The programs of the folder `programs` that are wanted, working in `folder`, which must be there."""

    def __init__(self, programs: Path, folder: Path, namespace: NetworkNamespace, clock: Clock) -> None:
        self._programs, self._folder, self._namespace, self._clock = programs, folder, namespace, clock
        self._wanted: dict[str, _Wanted] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, name: str, options: Options, *, goes_with: str = "") -> None:
        """Run it from now on, and anew whenever `goes_with` starts."""
        self._wanted[name] = _Wanted(options, goes_with)
        # No wish to die with the parent: it would be the thread that is borrowed here. The lab's end is theirs.
        self._processes[name] = await run_in(self._namespace, partial(self._spawn, name, options))
        for other, wanted in list(self._wanted.items()):
            if wanted.goes_with == name:
                await self._end_process(other)
                await self._again(other)

    async def end(self, name: str) -> None:
        """Run it no more."""
        self._wanted.pop(name, None)
        await self._end_process(name)

    async def end_all(self) -> None:
        """Run none any more, the last one started first."""
        for name in reversed(list(self._processes)):
            await self.end(name)

    async def keep(self) -> None:
        """Start again what ends by itself, until cancelled: as a kubelet would its node's own pods."""
        while True:
            await self._clock.sleep(_LOOK_S)
            for name in list(self._wanted):
                if self.ended(name):
                    code = self._processes[name].returncode
                    log.warning("program ended, starting it again", program=name, code=code)
                    await self._again(name)

    def wants(self, name: str) -> bool:
        """Whether it is to run."""
        return name in self._wanted

    def ended(self, name: str) -> bool:
        """Whether it has ended by itself."""
        process = self._processes.get(name)
        return process is not None and process.poll() is not None

    def said(self, name: str) -> str:
        """The end of its log."""
        return self._log(name).read_text(errors="replace")[-_SAID_BYTES:]

    async def _again(self, name: str) -> None:
        if (wanted := self._wanted.get(name)) is not None:
            await self.start(name, wanted.options, goes_with=wanted.goes_with)

    async def _end_process(self, name: str) -> None:
        if (process := self._processes.pop(name, None)) is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    def _spawn(self, name: str, options: Options) -> subprocess.Popen[bytes]:
        with self._log(name).open("ab") as output:
            return subprocess.Popen(
                command(self._programs / name, options),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
            )

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"
