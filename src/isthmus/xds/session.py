"""One stream: a reader that takes requests up and a writer that says what is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from isthmus.kit.answer_meters import answer_meters
from isthmus.kit.bucket import Bucket
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.metrics import (
    CONVERGENCE,
    EXPIRED_NONCES,
    SEND_SECONDS,
    WRITE_TIMEOUTS,
    XDS_REJECTS,
    counted,
)
from isthmus.kit.scopes import ads as log
from isthmus.kit.seldom import Seldom
from isthmus.kit.tasks import supervise
from isthmus.wire.stream import Code, Peer, Refused, Stream, StreamClosed
from isthmus.xds.answers import DELTA, SOTW, Answer
from isthmus.xds.conversation import Conversation, World
from isthmus.xds.crowd import Crowd
from isthmus.xds.generation import EVERYTHING
from isthmus.xds.node import ProxyNode
from isthmus.xds.request import InvalidRequest, Reader, Request
from isthmus.xds.subscription import Verdict
from isthmus.xds.type_urls import PUSH_ORDER, short

S = TypeVar("S", bound=Hashable)

_LONGEST_WORD = 64 << 10

Touched = Callable[[S, str], frozenset[str] | None]


def trusted(_peer: Peer) -> str:
    """Believes everybody who was let in."""
    return ""


def only_shown(_subject: Hashable, _text: str) -> None:
    """Hears what is not acted upon: `Session.said` has it, for those who look."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long proxies may take, in seconds, and how many may fetch everything at once."""

    first_request_s: float = 30.0
    send_s: float = 30.0
    answer_s: float = 120.0
    """Until a response is accepted or rejected. Envoy answers after it has applied what it was sent."""
    admission_s: float = 10.0
    """How long a proxy that fetches everything keeps others from it."""
    admissions: int = 32
    """How many at once: what each is sent waits in memory until it has read it, some 20 MB of 5,000 services."""
    admissions_of_one: int = 16
    """How many of them may be of one identity."""
    streams_of_one: int = 10_000
    """How many streams one identity may have, or one address where identities are not proven."""
    requests_at_once: int = 2_000
    requests_per_s: float = 100.0
    """How many requests of one stream are taken up, at once and in the long run; further ones wait."""


@dataclass(slots=True)
class Shared(Generic[S]):
    """What all sessions look at. `world` is None until something is published."""

    limits: SessionLimits = field(default_factory=SessionLimits)
    clock: Clock = field(default_factory=SystemClock)
    order: tuple[str, ...] = PUSH_ORDER
    world: World[S] | None = None
    published: asyncio.Event = field(default_factory=asyncio.Event)
    """Set as soon as there is a world."""
    readers: dict[str, Reader] = field(
        default_factory=lambda: {each.name: Reader(each.parse) for each in (DELTA, SOTW)}
    )
    hears: Mapping[str, Callable[[S, str], None]] = field(default_factory=dict)
    """By type who is told what a proxy says of itself, and not of resources: an error, empty where there is none."""
    doubts: Callable[[Peer], str] = trusted
    """Why a proxy that was let in is not believed any more; empty where it is."""
    leaving: str = ""
    """Why nobody is taken any more; empty while we stay."""
    crowd: Crowd = field(init=False)
    seldom: Seldom = field(init=False)
    """Where what proxies do wrong is logged."""
    comings: Seldom = field(init=False)
    """Where it is logged that they come and go: all at once when Pilot starts."""

    def __post_init__(self) -> None:
        limits = self.limits
        self.crowd = Crowd(limits.streams_of_one, limits.admissions, limits.admissions_of_one)
        self.seldom = Seldom(self.clock, log)
        self.comings = Seldom(self.clock, log, at_once=2_000, pause_s=1.0, burst=10_000)


class Session(Generic[S]):
    """One proxy on one stream."""

    def __init__(
        self,
        stream: Stream,
        node: ProxyNode,
        conversation: Conversation[S],
        shared: Shared[S],
        identify: Callable[[ProxyNode], S],
    ) -> None:
        self.node, self.conversation, self.peer = node, conversation, stream.peer
        self.connected_at = shared.clock.now()
        self.said: dict[str, str] = {}
        """What the proxy said last of itself, by the types that are heard."""
        self._stream, self._shared, self._identify = stream, shared, identify
        self._reader = shared.readers[conversation.dialect]
        self._wake = asyncio.Event()
        self._task: asyncio.Task[object] | None = None
        self._cut: Refused | None = None
        limits = shared.limits
        self._pace = Bucket(limits.requests_at_once, limits.requests_per_s, shared.clock.monotonic())
        self._starting_since: float | None = None
        self._sending_since: float | None = None
        self._changed_at: float | None = None
        self._sent_at: dict[str, float] = {}

    async def run(self, first: Request) -> None:
        """Talk until the proxy goes away. Raises `Refused` where it breaks the protocol or is too slow."""
        self._task = asyncio.current_task()
        try:
            async with supervise(self._write()):
                broken = self._take(first) or await self._read()
        except asyncio.CancelledError:
            if self._cut is None or self._task is None:
                raise
            self._task.uncancel()
            raise self._cut from None
        if broken:
            raise Refused(Code.INVALID_ARGUMENT, broken)

    # Reading

    async def _read(self) -> str:
        """Take requests until there are no more; returns what was wrong with the last, if anything."""
        clock = self._shared.clock
        while (message := await self._stream.receive()) is not None:
            if (early_s := self._pace.take(clock.monotonic())) > 0:
                await clock.sleep(early_s)
            try:
                request = self._reader.read(message)
            except InvalidRequest as error:
                return str(error)
            if broken := self._take(request):
                return broken
        return ""

    def _take(self, request: Request) -> str:
        if (heard := self._shared.hears.get(request.type_url)) is not None:
            text = request.error or ""
            if len(text) > _LONGEST_WORD:
                return f"{short(request.type_url)}: longer than {_LONGEST_WORD} characters"
            self.said[request.type_url] = text
            heard(self.conversation.subject, text)
            return ""
        try:
            verdict = self.conversation.take(request, self._shared.order)
        except InvalidRequest as error:
            return str(error)
        if verdict is Verdict.NONE and request.nonce:
            EXPIRED_NONCES.labels(type=self._kind(request.type_url)).inc()
        if verdict is not Verdict.NONE:
            self._sent_at.pop(request.type_url, None)
        if verdict is Verdict.ACCEPTED:
            log.debug("taken up", proxy=self.node.id, type=short(request.type_url))
        if verdict is Verdict.REJECTED:
            XDS_REJECTS.labels(type=self._kind(request.type_url)).inc()
            named = {"proxy": self.node.id, "type": short(request.type_url)}
            cause = (self.peer.who, *named.values())
            self._shared.seldom.warning("proxy rejected", cause, **named, reason=request.error)
        if self.conversation.has_work or self._starting_since is not None:
            self.wake()
        return ""

    # Writing

    def mark(self, touched: Touched[S], changed_at: float) -> bool:
        """Note what may have changed for this proxy, as `touched` says; returns whether it must look."""
        conversation = self.conversation
        found = False
        for type_url in conversation.subscriptions:
            names = touched(conversation.subject, type_url)
            if names is EVERYTHING or names:
                found = conversation.changed(type_url, names) or found
        if found and self._changed_at is None:
            self._changed_at = changed_at
        return found

    def identify(self) -> bool:
        """Ask again whom the proxy is; returns whether that changed, so that it must look at everything.

        A node of which nothing can be made any more stays who it was.
        """
        try:
            subject = self._identify(self.node)
        except ValueError as error:
            named = {"proxy": self.node.id, "reason": str(error)}
            self._shared.seldom.warning("proxy not known again", self.peer.who, **named)
            return False
        return self.conversation.become(subject)

    def wake(self) -> None:
        """Let the writer look for what is due."""
        self._wake.set()

    async def _write(self) -> None:
        try:
            await self._wake.wait()
            async with self._shared.crowd.start(self.peer.who):
                self._starting_since = self._shared.clock.monotonic()
                while self._starting_since is not None:
                    await self._say_what_is_due()
                    if self.conversation.quiet:
                        self._starting_since = None
            while True:
                await self._say_what_is_due()
        except StreamClosed:
            return  # The reader is told as well, and ends the session.

    async def _say_what_is_due(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        clock = self._shared.clock
        while (world := self._shared.world) is not None:
            begun = clock.monotonic()
            answer = self.conversation.next(world)
            if answer is None:
                break
            sending = self._sending_since = self._sent_at[answer.type_url] = clock.monotonic()
            await self._stream.send(answer.message)
            self._sending_since = None
            self._count(answer, begun, sending)
            if self._changed_at is not None and not self.conversation.has_work:
                CONVERGENCE.observe(clock.monotonic() - self._changed_at)
                self._changed_at = None
        if not self.conversation.has_work:
            self._changed_at = None

    def _count(self, answer: Answer, begun: float, sending: float) -> None:
        now, kind = self._shared.clock.monotonic(), self._kind(answer.type_url)
        meters = answer_meters(kind)
        meters.pushes.inc()
        meters.seconds.observe(now - begun)
        SEND_SECONDS.observe(now - sending)
        meters.sizes.observe(len(answer.message))
        if log.says("debug"):
            said = {"type": short(answer.type_url), "bytes": len(answer.message)}
            log.debug("sent", proxy=self.node.id, **said, seconds=round(now - begun, 6))

    def _kind(self, type_url: str) -> str:
        """What metrics call a type; all that nobody serves are one, for proxies may ask for any."""
        return counted(type_url) if type_url in self._shared.order else "unknown"

    # Limits

    @property
    def is_due(self) -> bool:
        """Whether it has still to be told something, or has not answered yet."""
        return not self.conversation.quiet

    @property
    def is_cut(self) -> bool:
        """Whether it ends."""
        return self._cut is not None

    def send_away(self, reason: str) -> None:
        """End the session and its connection, so that the proxy comes back to whom it is led to then."""
        self.cut(reason, Code.UNAVAILABLE, hangs_up=True)

    def check(self, now: float) -> None:
        """Cut the session if it is overdue, and let others in if its start takes too long."""
        limits = self._shared.limits
        if self.peer.end is not None and self._shared.clock.now() >= self.peer.end:
            # A new stream would come over the same connection, which knows that certificate only.
            ended = f"the certificate by which proxy {self.node.id} connected has ended"
            self.cut(ended, Code.UNAUTHENTICATED, hangs_up=True)
        if why := self._shared.doubts(self.peer):
            self.cut(why, Code.PERMISSION_DENIED, hangs_up=True)
        if self._sending_since is not None and now - self._sending_since > limits.send_s:
            WRITE_TIMEOUTS.inc()
            self.cut(f"proxy {self.node.id} reads too slowly: one response waits for {limits.send_s:g} s")
        for type_url, sent_at in self._sent_at.items():
            if now - sent_at > limits.answer_s:
                self.cut(
                    f"proxy {self.node.id} did not answer {short(type_url)} within {limits.answer_s:g} s"
                )
                break
        if self._starting_since is not None and now - self._starting_since > limits.admission_s:
            self._starting_since = None
            self.wake()

    def cut(self, reason: str, code: Code = Code.DEADLINE_EXCEEDED, *, hangs_up: bool = False) -> None:
        """End the session; the proxy is told why, and comes back when it likes."""
        if self._task is not None and self._cut is None:
            self._cut = Refused(code, reason, hangs_up=hangs_up)
            self._task.cancel()
