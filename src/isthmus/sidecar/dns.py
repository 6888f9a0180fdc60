"""The DNS of a pod: names of the mesh are answered from Pilot's table, all others by whom the pod would ask anyway.

The last table holds while Pilot is away. Envoy asks at a door of its own, where only the real resolvers
answer: the addresses that we give names lead through Envoy itself, and it would call itself in circles (ADR 0015).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain

import msgspec

from isthmus.kit.tasks import supervise
from isthmus.sidecar import dns_message
from isthmus.sidecar.dns_message import LARGEST, Question
from isthmus.sidecar.dns_names import Meaning, Names
from isthmus.sidecar.dns_upstream import Place, Upstream

LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_WAITING_BYTES = 1 << 22  # of datagrams that are not read yet, as far as the kernel grants it
_TURN = 64  # datagrams that are read before others have their turn on the loop
_MOST_REMEMBERED = 8192
_MOST_STREAMS = 128
_IDLE_S = 10.0
_LARGEST_QUESTION = 4096

Reply = Callable[[bytes], None]


class DnsCounts(msgspec.Struct):
    """How often what happened."""

    requests: int = 0
    answered: int = 0  # from the table
    forwarded: int = 0


class Answerer:
    """Answers questions: at once from the table, later from others, or not at all what is none."""

    def __init__(self, upstream: Upstream, names: Names | None = None) -> None:
        self._upstream = upstream
        self._names = names
        self._answers: dict[bytes, bytes] = {}
        self.counts = DnsCounts()

    def know(self, names: Names) -> None:
        """Answer from these names from now on."""
        self._names = names
        self._answers.clear()

    def is_own_question(self, asker: Place) -> bool:
        """Whether what comes from there is what we asked others: where we cannot mark it, capture leads it back."""
        return self._upstream.asks_from(asker)

    def take(self, packet: bytes, reply: Reply) -> None:
        """Answer a datagram."""
        self.counts.requests += 1
        known = self._answers.get(packet[2:])
        if known is not None:
            self.counts.answered += 1
            reply(packet[:2] + known)
            return
        asked = dns_message.question(packet)
        found = self._names.find(asked.name) if asked is not None and self._names is not None else None
        if asked is None or found is None:
            self.counts.forwarded += 1
            if len(packet) > _HEADER_BYTES:
                self._upstream.ask(packet, reply)
        elif found.target:
            self.counts.forwarded += 1
            self._follow(asked, found, reply)
        elif not asked.asks_addresses:
            self.counts.forwarded += 1
            # Who answers may not know the name, which exists for us.
            self._upstream.ask(packet, lambda answer: reply(dns_message.existing(answer)))
        else:
            self.counts.answered += 1
            self._answer(packet, asked, found, reply)

    async def by_stream(self, packet: bytes) -> bytes:
        """The answer to a question by TCP: nothing of it is cut."""
        self.counts.requests += 1
        asked = dns_message.question(packet)
        found = self._names.find(asked.name) if asked is not None and self._names is not None else None
        if asked is None or found is None or found.target:
            self.counts.forwarded += 1
            if found is None or asked is None:
                return await self._upstream.ask_stream(packet)
            return await self._followed(asked, found)
        if not asked.asks_addresses:
            self.counts.forwarded += 1
            return dns_message.existing(await self._upstream.ask_stream(packet))
        self.counts.answered += 1
        return dns_message.answer(asked, found.addresses, _called(asked, found))

    def _answer(self, packet: bytes, asked: Question, found: Meaning, reply: Reply) -> None:
        called, addresses = _called(asked, found), found.addresses
        if len(addresses) > 1:  # whoever takes the first should not always take the same
            first = self.counts.answered % len(addresses)
            turned = chain(addresses[first:], addresses[:first])
            reply(dns_message.answer(asked, turned, called, limit=asked.limit))
            return
        made = dns_message.answer(asked, addresses, called, limit=asked.limit)
        if len(self._answers) >= _MOST_REMEMBERED:
            self._answers.clear()
        self._answers[packet[2:]] = made[2:]
        reply(made)

    def _follow(self, asked: Question, found: Meaning, reply: Reply) -> None:
        """The answer for a name that stands for another: both, as resolvers expect it."""
        known = self._names.find(found.target) if self._names is not None else None
        if known is not None and not known.target:
            reply(dns_message.answer(asked, known.addresses, found.target, limit=asked.limit))
            return
        question = dns_message.query(found.target, asked.kind, asked.number)
        self._upstream.ask(question, lambda answer: reply(dns_message.joined(asked, found.target, answer)))

    async def _followed(self, asked: Question, found: Meaning) -> bytes:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def take(packet: bytes) -> None:
            if not answer.done():
                answer.set_result(packet)

        self._follow(asked._replace(limit=LARGEST), found, take)
        return await answer


_HEADER_BYTES = 12


def _called(asked: Question, found: Meaning) -> str:
    """The host's own name where it was asked for by another."""
    return "" if found.host == asked.name or found.host.startswith("*") else found.host


class DnsServer:
    """Takes questions at one port of loopback, by datagram and by TCP."""

    def __init__(self, answerer: Answerer, port: int, address: str = LOOPBACK[4]) -> None:
        self._answerer, self._place = answerer, (address, port)
        self._streams = 0
        self.ready = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. Raises `OSError` where the port is taken."""
        near = socket.socket(socket.AF_INET6 if ":" in self._place[0] else socket.AF_INET, socket.SOCK_DGRAM)
        loop = asyncio.get_running_loop()
        try:
            near.setblocking(False)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WAITING_BYTES)
            near.bind(self._place)
            server = await asyncio.start_server(self._stream, *self._place)
            loop.add_reader(near.fileno(), self._read, near)
            async with server, supervise(server.serve_forever()):
                self.ready.set()
                await asyncio.Event().wait()
        finally:
            loop.remove_reader(near.fileno())
            near.close()

    def _read(self, near: socket.socket) -> None:
        for _ in range(_TURN):
            try:
                packet, asker = near.recvfrom(LARGEST)
            except (BlockingIOError, ConnectionError):
                return
            if self._answerer.is_own_question(asker[:2]):
                continue
            self._answerer.take(packet, partial(_send, near, asker))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams += 1
        try:
            while self._streams <= _MOST_STREAMS:
                async with asyncio.timeout(_IDLE_S):
                    size = int.from_bytes(await reader.readexactly(2))
                    if not _HEADER_BYTES < size <= _LARGEST_QUESTION:
                        return
                    packet = await reader.readexactly(size)
                answer = await self._answerer.by_stream(packet)
                writer.write(len(answer).to_bytes(2) + answer)
                async with asyncio.timeout(_IDLE_S):
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except TimeoutError:
            writer.transport.abort()  # what it does not read is not kept for it
        finally:
            self._streams -= 1
            writer.close()


def _send(near: socket.socket, asker: tuple[str, int], answer: bytes) -> None:
    # Whoever asked is gone, or does not read: resolvers ask again.
    with suppress(OSError):
        near.sendto(answer, asker)
