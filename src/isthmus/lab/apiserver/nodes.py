"""What the API server asks of nodes: logs, commands and connections of the pods that run there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


class NodeError(Exception):
    """What a node cannot do, in words for the user: the container has not started, is gone…"""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines of a container's log, and how they are shown."""

    container: str
    follow: bool = False
    previous: bool = False  # of the container's last end, not of its present life
    timestamps: bool = False
    tail_lines: int | None = None
    since: float | None = None  # seconds since the epoch; no lines from before
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """What to run in a container, and which of its streams someone listens to."""

    container: str
    arguments: tuple[str, ...]
    stdin: bool = False
    tty: bool = False


class Running(Protocol):
    """A command that runs in a container."""

    async def write(self, data: bytes) -> None:
        """Give `data` to its standard input; nothing once it has ended."""
        ...

    async def close_input(self) -> None:
        """Let it read the end of its standard input."""
        ...

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """What it writes: 1 (standard output, or the terminal) or 2 (standard error), and the bytes."""
        ...

    async def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal the size of the user's; nothing without a terminal."""
        ...

    async def exit_code(self) -> int:
        """How it ended, once it has; 128 + the signal where a signal ended it."""
        ...

    async def kill(self) -> None:
        """End it, if it still runs. Called in any case when the user is gone."""
        ...


class Nodes(Protocol):
    """All nodes of a cluster; each pod is found where it runs. Every method may raise `NodeError`."""

    def logs(self, namespace: str, pod: str, query: LogQuery) -> AsyncIterator[bytes]:
        """The log's lines in pieces of any size; following ends when the container does."""
        ...

    async def execute(self, namespace: str, pod: str, command: Command) -> Running:
        """Run a command in the container."""
        ...

    async def connect(
        self, namespace: str, pod: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to the pod's port, made from its node. Raises `OSError` as connecting does."""
        ...

    async def forward(
        self, namespace: str, pod: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection to the pod's port, made within the pod, on loopback. Raises `OSError` as connecting does."""
        ...
