"""All streams: who must look again when the world has changed, and when."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.metrics import DEBOUNCE_SECONDS, QUEUE_SECONDS
from isthmus.xds.answers import Answers
from isthmus.xds.conversation import World
from isthmus.xds.generation import Generation
from isthmus.xds.request import Request
from isthmus.xds.session import Session, SessionLimits, Shared
from isthmus.xds.type_urls import PUSH_ORDER

S = TypeVar("S", bound=Hashable)

_APART_S = 0.05
"""How far apart proxies are sent away at the most."""
_SLICE = 50
"""How many sessions are woken before others have their turn on the loop."""


class Fanout(Generic[S]):
    """Publishes states of the world to all sessions.

    A session that has not looked yet when the next state comes looks once, at the newest: names add up,
    states do not queue. Only sessions that subscribe to something that may differ are woken.
    """

    def __init__(
        self,
        order: tuple[str, ...] = PUSH_ORDER,
        limits: SessionLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.shared: Shared[S] = Shared(limits or SessionLimits(), clock or SystemClock(), order)
        self.answers = Answers()
        self._sessions: dict[Session[S], None] = {}
        self._due: dict[Session[S], float] = {}
        """Since when each waits for its turn."""
        self._arrived = asyncio.Event()

    @property
    def sessions(self) -> tuple[Session[S], ...]:
        """All sessions, the oldest first."""
        return tuple(self._sessions)

    def find(self, proxy: str) -> Session[S] | None:
        """The newest session of the proxy with this node id; None where it is not connected."""
        return next((each for each in reversed(self._sessions) if each.node.id == proxy), None)

    def publish(self, generation: Generation[S], changed_at: float | None = None) -> None:
        """Make `generation` the state of the world; never waits.

        `changed_at` is when its oldest change was seen, by the monotonic clock (None: now).
        """
        shared = self.shared
        first = shared.world is None
        self.answers.turn()
        shared.world = World(generation, self.answers, shared.order)
        now = shared.clock.monotonic()
        seen_at = now if changed_at is None else changed_at
        DEBOUNCE_SECONDS.observe(now - seen_at)
        for session in self._sessions:
            if session.mark(generation.touched, seen_at) or first:
                self._due.setdefault(session, now)
        shared.published.set()
        if self._due:
            self._arrived.set()

    def identify_again(self, concerned: Callable[[S], bool]) -> None:
        """Ask again whom those proxies are that are `concerned`: what is known of them has changed.

        To be called before the generation is published in which this shows.
        """
        for session in self._sessions:
            if concerned(session.conversation.subject) and session.identify():
                self._due.setdefault(session, self.shared.clock.monotonic())

    async def attend(self, session: Session[S], first: Request) -> None:
        """Serve `session` until it ends. Raises what it raises."""
        self._sessions[session] = None
        try:
            await session.run(first)
        finally:
            del self._sessions[session]
            self._due.pop(session, None)

    async def send_away(self, reason: str, limit_s: float) -> None:
        """End all sessions within `limit_s` seconds, each when it has been told what was due, and take no more.

        So many that others would feel it go one after the other.
        """
        shared = self.shared
        shared.leaving = reason
        end = shared.clock.monotonic() + limit_s
        while left := [each for each in self._sessions if not each.is_cut]:
            left_s = end - shared.clock.monotonic()
            if left_s <= 0:
                for each in left:
                    each.send_away(reason)
                return
            if idle := [each for each in left if not each.is_due]:
                # In no order: those of one deployment came one after the other.
                secrets.choice(idle).send_away(reason)
            await shared.clock.sleep(min(_APART_S, left_s / len(left)))

    async def run(self) -> None:
        """Wake those who must look, and watch over those who are slow, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake())
            group.create_task(self._watch())

    async def _wake(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._due:
                for session in self._next_slice():
                    session.wake()
                await asyncio.sleep(0)

    def _next_slice(self) -> Iterator[Session[S]]:
        now = self.shared.clock.monotonic()
        for session in list(self._due)[:_SLICE]:
            QUEUE_SECONDS.observe(now - self._due.pop(session))
            yield session

    async def _watch(self) -> None:
        clock, limits = self.shared.clock, self.shared.limits
        period_s = min(limits.send_s, limits.answer_s, limits.admission_s) / 4
        while True:
            await clock.sleep(period_s)
            now = clock.monotonic()
            for session in self._sessions:
                session.check(now)
