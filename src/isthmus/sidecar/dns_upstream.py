"""The resolvers that a pod would ask without us, and how they are asked: past the capture of its own questions."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from isthmus.kit.scopes import agent as log
from isthmus.sidecar import dns_message
from isthmus.sidecar.marked_relay import SO_MARK

RESOLV_CONF = Path("/etc/resolv.conf")
_PORT = 53
_TRY_S, _TRIES = 1.5, 3  # the usual resolver in an application gives up after 5 s
_STREAM_S = 4.5
_MOST_WAITING = 4096
_READ_AGAIN_S = 1.0
_SILENT_S = 30.0
_MOST_QUESTIONS = 1000  # through one socket, so that the port by which answers come is hard to guess
_DATAGRAM = 65535

Reply = Callable[[bytes], None]
Place = tuple[str, int]


class Resolvers(NamedTuple):
    """What a resolver reads from resolv.conf."""

    servers: tuple[str, ...]
    search: tuple[str, ...]


def read_resolvers(path: Path = RESOLV_CONF) -> Resolvers:
    """The servers and search domains in the file; none of either where it cannot be read."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError as error:
        log.warning("resolvers not known", file=str(path), reason=str(error))
        return Resolvers((), ())
    servers = tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")
    search = [tuple(words[1:]) for words in lines if words and words[0] in {"search", "domain"}]
    return Resolvers(servers, tuple(each.rstrip(".").lower() for each in search[-1]) if search else ())


class Upstream:
    """Asks the real resolvers, one after the other until one answers."""

    def __init__(
        self, read: Callable[[], Resolvers] = read_resolvers, mark: int | None = None, port: int = _PORT
    ) -> None:
        self._read, self._mark, self._port = read, mark, port
        self._resolvers = read()
        self._lines: dict[str, _Line] = {}
        self._waiting = 0
        self._read_again = 0.0  # not before
        self._silent: dict[str, float] = {}  # until when those are asked last who did not answer
        self.asked = self.unanswered = 0

    @property
    def resolvers(self) -> Resolvers:
        """Whom it asks."""
        return self._resolvers

    def in_order(self) -> tuple[str, ...]:
        """The resolvers as they are asked: those that did not answer lately after the others."""
        now, servers = asyncio.get_running_loop().time(), self._resolvers.servers
        return tuple(sorted(servers, key=lambda each: self._silent.get(each, 0.0) > now))

    def note(self, server: str, *, answers: bool) -> None:
        """Note whether a resolver answers."""
        if answers:
            self._silent.pop(server, None)
        else:
            self._silent[server] = asyncio.get_running_loop().time() + _SILENT_S

    def ask(self, packet: bytes, reply: Reply) -> None:
        """Ask by datagram and call `reply` with the answer: that nobody answered, where that is so."""
        self.asked += 1
        if self._waiting >= _MOST_WAITING or not self._resolvers.servers:
            self._give_up(packet, reply)
            return
        self._waiting += 1
        _Ask(packet, reply, self).next()

    def asks_from(self, place: Place) -> bool:
        """Whether questions go out from this address and port."""
        return any(line.place == place for line in self._lines.values())

    def close(self) -> None:
        """Let go of all sockets. Who waits gets no answer."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()

    async def ask_stream(self, packet: bytes) -> bytes:
        """The answer by TCP, which has room for all; that nobody answered, where that is so."""
        self.asked += 1
        for server in self.in_order()[:_TRIES]:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_STREAM_S):
                    answer = await self._by_stream(server, packet)
                if dns_message.is_answer_to(answer, packet):
                    return answer
        self.unanswered += 1
        return dns_message.failed(packet)

    async def _by_stream(self, server: str, packet: bytes) -> bytes:
        far = self._socket(server, socket.SOCK_STREAM)
        try:
            await asyncio.get_running_loop().sock_connect(far, (server, self._port))
        except BaseException:
            far.close()
            raise
        reader, writer = await asyncio.open_connection(sock=far)
        try:
            writer.write(len(packet).to_bytes(2) + packet)
            return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        finally:
            writer.close()

    def line(self, server: str) -> _Line:
        """A socket to the server that has not been used too often. Raises `OSError`."""
        line = self._lines.get(server)
        if line is None or line.asked >= _MOST_QUESTIONS:
            if line is not None:
                line.close_when_quiet()
            far = self._socket(server, socket.SOCK_DGRAM)
            far.connect((server, self._port))
            line = self._lines[server] = _Line(far)
        return line

    def answered(self) -> None:
        """Note that somebody has got an answer."""
        self._waiting -= 1

    def failed(self, packet: bytes, reply: Reply) -> None:
        """Note that nobody answered, and tell so."""
        self._waiting -= 1
        self._give_up(packet, reply)

    def _give_up(self, packet: bytes, reply: Reply) -> None:
        self.unanswered += 1
        now = asyncio.get_running_loop().time()
        if now >= self._read_again:
            # Elsewhere than in a pod the file changes with the network.
            self._resolvers, self._read_again = self._read(), now + _READ_AGAIN_S
        reply(dns_message.failed(packet))

    def _socket(self, server: str, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, kind)
        try:
            made.setblocking(False)
            if self._mark is not None:
                made.setsockopt(socket.SOL_SOCKET, SO_MARK, self._mark)
        except BaseException:
            made.close()
            raise
        return made


class _Sent(NamedTuple):
    """A question as it went to one resolver."""

    server: str
    line: _Line
    wire: bytes


class _Ask:
    """One question on its way from resolver to resolver; who is slow may still answer while the next is asked."""

    __slots__ = ("_error", "_packet", "_reply", "_sent", "_servers", "_timer", "_upstream")

    def __init__(self, packet: bytes, reply: Reply, upstream: Upstream) -> None:
        servers = upstream.in_order()
        self._servers = (servers * _TRIES)[: max(_TRIES, len(servers))]
        self._packet, self._reply, self._upstream = packet, reply, upstream
        self._sent: list[_Sent] = []
        self._timer: asyncio.TimerHandle | None = None
        self._error = b""  # what somebody answered who could not say

    def next(self) -> None:
        """Ask the next resolver, if there is one more."""
        self._cancel()
        while self._servers:
            server, *rest = self._servers
            self._servers = tuple(rest)
            with suppress(OSError):
                line = self._upstream.line(server)
                self._sent.append(_Sent(server, line, line.send(self._packet, self)))
                self._timer = asyncio.get_running_loop().call_later(_TRY_S, self._not_answered)
                return
        self._leave()
        if self._error:
            self._finish(self._error)
        else:
            self._upstream.failed(self._packet, self._reply)

    def refused(self, line: _Line) -> None:
        """Nobody is there where the question went."""
        if self._sent and self._sent[-1].line is line:
            self._not_answered()

    def take(self, answer: bytes) -> None:
        """Pass the answer on, if it is one to this question; where others may know better, ask them first."""
        by = next((one for one in self._sent if dns_message.is_answer_to(answer, one.wire)), None)
        if by is None:
            return
        self._upstream.note(by.server, answers=True)
        others = tuple(each for each in self._servers if each != by.server)
        if dns_message.cannot_say(answer) and (others or by is not self._sent[-1]):
            self._error, self._servers = answer, others
            if by is self._sent[-1]:
                self.next()
            return
        self._leave()
        self._finish(answer)

    def _not_answered(self) -> None:
        self._upstream.note(self._sent[-1].server, answers=False)
        self.next()

    def _finish(self, answer: bytes) -> None:
        self._upstream.answered()
        self._reply(dns_message.renumbered(answer, dns_message.number_of(self._packet)))

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self) -> None:
        self._cancel()
        for one in self._sent:
            one.line.forget(one.wire)
        self._sent.clear()


class _Line:
    """A socket to one resolver, with all who wait for an answer through it."""

    def __init__(self, far: socket.socket) -> None:
        self._far = far
        self.place: Place = far.getsockname()[:2]
        self._waiting: dict[int, _Ask] = {}
        self._closing = False
        self.asked = 0
        asyncio.get_running_loop().add_reader(far.fileno(), self._read)

    def send(self, packet: bytes, ask: _Ask) -> bytes:
        """Send the question under a number that nobody can guess; returns it as it was sent. Raises `OSError`."""
        number = secrets.randbelow(1 << 16)
        while number in self._waiting:
            number = secrets.randbelow(1 << 16)
        wire = dns_message.renumbered(packet, number)
        self._far.send(wire)
        self.asked += 1
        self._waiting[number] = ask
        return wire

    def forget(self, wire: bytes) -> None:
        """Nobody waits for an answer to this any more."""
        self._waiting.pop(dns_message.number_of(wire), None)
        if self._closing and not self._waiting:
            self.close()

    def close_when_quiet(self) -> None:
        """Close as soon as nobody waits."""
        self._closing = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Close at once."""
        if self._far.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._far.fileno())
            self._far.close()

    def _read(self) -> None:
        while self._far.fileno() >= 0:
            try:
                answer = self._far.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # refused: whoever waits here goes on to the next resolver
                for ask in list(self._waiting.values()):
                    ask.refused(self)
                return
            found = self._waiting.get(dns_message.number_of(answer))
            if found is not None:
                found.take(answer)
