"""What containers write, line by line with the time, in one file for each container."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from isthmus.lab.apiserver.nodes import LogQuery

_MOST_BYTES = 16 << 20
_POLL_S = 0.1


class LogFile:
    """The log of one container. Each start of the container begins a new life; the last one is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._previous = path.with_suffix(".previous")
        self.ended = False

    @property
    def begun(self) -> bool:
        """Whether there is anything to read, be it empty."""
        return self._path.exists()

    def begin(self) -> int:
        """A descriptor for a new life's output; what is written there becomes lines of the log."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            self._path.replace(self._previous)
        self.ended = False
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        file = self._path.open("wb", buffering=0)
        _Pump(reader, file.fileno(), file.close)
        return writer

    async def read(self, query: LogQuery) -> AsyncIterator[bytes]:
        """The lines that `query` asks for; following goes on until the container's end."""
        path = self._previous if query.previous else self._path
        if not path.exists():
            return
        with path.open("rb") as file:
            lines: deque[bytes] = deque(maxlen=query.tail_lines)
            if query.tail_lines != 0:
                lines.extend(line for line in file if _is_wanted(line, query))
            else:
                file.seek(0, os.SEEK_END)
            sent = 0
            for line in lines:
                shown = line if query.timestamps else line.partition(b" ")[2]
                if query.limit_bytes is not None and sent + len(shown) >= query.limit_bytes:
                    yield shown[: query.limit_bytes - sent]
                    return
                sent += len(shown)
                yield shown
            while query.follow and not query.previous:
                line = file.readline()
                if line:
                    yield line if query.timestamps else line.partition(b" ")[2]
                elif self.ended:
                    return
                else:
                    await asyncio.sleep(_POLL_S)


class _Pump:
    """Moves what comes out of a pipe into the file, with the time before each line."""

    def __init__(self, reader: int, file: int, close: object) -> None:
        self._reader, self._file, self._close = reader, file, close
        self._rest = b""
        self._written = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(reader, self._pump)

    def _pump(self) -> None:
        try:
            data = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            if self._rest:
                self._write([self._rest])
            if callable(self._close):
                self._close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines:
            self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        if self._written > _MOST_BYTES:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            self._written = 0
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()
        data = b"".join(stamp + line + b"\n" for line in lines)
        os.write(self._file, data)
        self._written += len(data)


def _is_wanted(line: bytes, query: LogQuery) -> bool:
    if query.since is None:
        return True
    stamp = line[:26].decode()
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp() >= query.since
