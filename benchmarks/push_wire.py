"""What the wire alone costs: a storm of callers that are sent all, then a small answer to all, again and again.

`python -m benchmarks.push_wire` does so with both implementations, in plain text and over mutual TLS. Callers have
Envoy's windows, in a process of their own that speaks by our core without I/O; each answers what it is sent with 86
bytes, as an Envoy does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import selectors
import socket
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from benchmarks.push import Way, resident_kb, write_certificates

from isthmus.kit.log_levels import set_up_logs
from isthmus.kit.tasks import supervise
from isthmus.kit.tls import client_context
from isthmus.wire.h2.bounds import Bounds
from isthmus.wire.h2.connection import Connection, Role
from isthmus.wire.h2.events import Message
from isthmus.wire.h2.grpc_words import request
from isthmus.wire.h2.messages import framed
from isthmus.wire.serve import Bidi, GrpcServer, Limits, Wire
from isthmus.wire.stream import Stream

PATH = "/benchmark.Push/All"
_NODE, _ACK = bytes(3_400), bytes(86)
_ENVOYS = Bounds(window=16 << 20, connection_window=24 << 20, message_bytes=64 << 20, unread_bytes=64 << 20)
HEAD = (
    "| wire | TLS | streams | first answer | storm s | CPU ms | KB each | us per push | p50 / p99 ms |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


class Caller:
    """One connection with one stream."""

    def __init__(self, host: str, port: int, tls: Path | None) -> None:
        self.socket = socket.create_connection((host, port))
        if tls is not None:
            roots, certificate, key = (
                (tls / f"{name}.pem").read_bytes() for name in ("roots", "certificate", "key")
            )
            context = client_context(roots=roots, certificate=certificate, key=key, alpn=("h2",))
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._core = Connection(Role.CLIENT, _ENVOYS)
        self._stream = self._core.open(request("pilot", PATH))
        self._ack = framed(self._stream, _ACK)
        self._core.send(self._stream, framed(self._stream, _NODE))
        self.flush()

    def flush(self) -> None:
        """Write what is due; the server reads at once."""
        while pieces := self._core.take().pieces:
            self.socket.sendall(b"".join(pieces))

    def read(self) -> bool:
        """Take what has come; false at the end."""
        while True:
            data = self.socket.recv(1 << 18)
            for event in self._core.receive(data):
                if isinstance(event, Message):
                    self._core.consumed(self._stream, event.message)
                    self._core.send(self._stream, self._ack)
            if not getattr(self.socket, "pending", int)():
                break
        self._core.guard.refill()
        self.flush()
        return bool(data)


def call(host: str, port: int, count: int, tls: Path | None) -> None:
    """Call with so many at once, and answer until the server ends."""
    chosen = selectors.EpollSelector()
    for _ in range(count):
        caller = Caller(host, port, tls)
        chosen.register(caller.socket, selectors.EVENT_READ, caller)
        _answer(chosen, 0)
    while _answer(chosen, None):
        pass


def _answer(chosen: selectors.BaseSelector, limit_s: float | None) -> bool:
    ended = [key for key, _ in chosen.select(limit_s) if not key.data.read()]
    return not ended


class Crowd:
    """The server's side: the streams, and how many answers are in."""

    def __init__(self, first: bytes) -> None:
        self._first, self.streams, self.answers = first, list[Stream](), 0
        self.waits_for, self.all_in = 0, asyncio.Event()

    async def talk(self, stream: Stream) -> None:
        """Send all there is, then count what comes back."""
        await stream.receive()
        await stream.send(self._first)
        self.streams.append(stream)
        while await stream.receive() is not None:
            self.answers += 1
            if self.answers >= self.waits_for:
                self.all_in.set()

    async def await_answers(self, count: int) -> None:
        """Return when so many more are in than were asked for before."""
        self.waits_for += count
        if self.answers < self.waits_for:
            self.all_in.clear()
            await self.all_in.wait()


async def measure(way: Way, count: int, first: int, pushes: int) -> str:
    """A row."""
    crowd = Crowd(os.urandom(first))
    server = GrpcServer({PATH: Bidi(crowd.talk)}, [way.listener()], Limits(wire=way.wire, stop_grace_s=0.1))
    async with supervise(server.run()):
        [address] = await server.addresses()
        before_kb, begin, cpu = resident_kb(), time.monotonic(), time.process_time()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.push_wire", "--call", address, "--streams", str(count),
            *(("--tls", str(way.tls)) if way.tls else ()),
        )  # fmt: skip
        await crowd.await_answers(count)
        storm_s, storm_ms = time.monotonic() - begin, (time.process_time() - cpu) * 1000 / count
        waits, cpu = list[float](), time.process_time()
        for _ in range(pushes):
            body, since = os.urandom(1_281), time.monotonic()
            for stream in crowd.streams:
                await stream.send(body)
            await crowd.await_answers(count)
            waits.append((time.monotonic() - since) * 1000)
        push_us = (time.process_time() - cpu) / count / pushes * 1e6
        each_kb = (resident_kb() - before_kb) / count
        process.kill()
        await process.wait()
    p50, p99 = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
    return (
        f"| {way.wire.value} | {'mutual' if way.tls else 'none'} | {count:,} | {first:,} | {storm_s:.1f} "
        f"| {storm_ms:.2f} | {each_kb:.1f} | {push_us:.1f} | {p50:.0f} / {p99:.0f} |"
    )


async def measure_all(asked: argparse.Namespace, folder: Path) -> None:
    """A table, row by row."""
    print(HEAD)
    write_certificates(folder)
    for wire in [Wire(asked.wire)] if asked.wire else list(Wire):
        for tls in (None, folder):
            print(await measure(Way(wire, tls), asked.streams, asked.first, asked.pushes), flush=True)


def main() -> None:
    """Print a table, or call."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--first", type=int, default=70_000, help="bytes of what each is sent at first")
    parser.add_argument("--pushes", type=int, default=50)
    parser.add_argument("--wire", choices=[each.value for each in Wire], help="only this implementation")
    parser.add_argument("--call", help=argparse.SUPPRESS)
    parser.add_argument("--tls", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    set_up_logs("warning")
    if asked.call:
        host, _, port = asked.call.rpartition(":")
        call(host, int(port), asked.streams, asked.tls)
        return
    with TemporaryDirectory() as folder:
        uvloop.run(measure_all(asked, Path(folder)))


if __name__ == "__main__":
    main()
