"""What is looked at again and again on all connections of a server: who is late, silent, too old, or takes nothing."""

from __future__ import annotations

from collections.abc import Collection

from isthmus.kit.log import log
from isthmus.kit.metrics import STREAMS_CUT
from isthmus.wire.h2.call import ServedCall
from isthmus.wire.h2.grpc_words import STATUS
from isthmus.wire.h2.host import Host
from isthmus.wire.h2.link import Link
from isthmus.wire.stream import Message

_REFILL_S = 1.0
_PING = b"isthmus!"
_SPREAD = 0.1
"""Part of their life by which connections end apart: all proxies came at once, and would go so."""


class Rounds:
    """Looks at the connections of one server. Times are those of the loop."""

    def __init__(self, host: Host, links: Collection[Link]) -> None:
        self._host, self._links = host, links
        self._refilled_at = host.loop.time()

    @property
    def pause_s(self) -> float:
        """How long to wait between two rounds, so that no limit is missed by much."""
        limits = self._host.limits
        limited = [
            limits.handshake_s,
            limits.idle_s,
            limits.keepalive_s,
            limits.keepalive_timeout_s,
            limits.stuck_s,
        ]
        if limits.connection_age_s:
            limited += [limits.connection_age_s, limits.connection_age_grace_s]
        shortest: float = min(limited)
        return min(1.0, max(0.02, shortest / 5))

    def go(self) -> None:
        """One round."""
        now = self._host.loop.time()
        refill = now - self._refilled_at >= _REFILL_S
        if refill:
            self._refilled_at = now
        waiting: list[tuple[float, Link, ServedCall]] = []
        for link in tuple(self._links):
            if refill:
                link.core.guard.refill()
            self._look_at(link, now)
            for call in link.calls:
                if call.waits_for is not None:
                    waiting.append((self._stands_since(link, call, now), link, call))
                else:
                    call.mark = ()
        if waiting:
            self._cut_stuck(waiting, now)

    def _look_at(self, link: Link, now: float) -> None:
        limits = self._host.limits
        if link.heard:
            link.heard, link.quiet_since, link.pinged_at = False, now, 0.0
        if not link.core.has_met:
            if now - link.since > limits.handshake_s:
                link.close("handshake too slow")
        elif link.pinged_at and now - link.pinged_at > limits.keepalive_timeout_s:
            link.close("no sign of life")
        elif not link.calls and now - link.idle_since > limits.idle_s:
            link.hang_up("idle")
        elif limits.connection_age_s and self._is_too_old(link, now):
            pass
        elif not link.pinged_at and now - link.quiet_since > limits.keepalive_s:
            link.pinged_at = now
            link.core.ping(_PING)
            link.flush()

    def _is_too_old(self, link: Link, now: float) -> bool:
        """Send a connection away that has lived long enough; in two steps, so that no call on its way is lost."""
        limits = self._host.limits
        if not link.leaves_at:
            late = (id(link) >> 4) % 100 / 100 * _SPREAD
            if now - link.since < limits.connection_age_s * (1 + late):
                return False
            link.leaves_at = now
            link.core.warn()
            link.flush()
            return True
        if now - link.leaves_at > limits.connection_age_grace_s:
            link.close("too old")
        elif not link.core.is_leaving:
            link.core.leave("too old")
            link.flush()
        elif not link.calls:
            link.hang_up("too old")
        return True

    @staticmethod
    def _stands_since(link: Link, call: ServedCall, now: float) -> float:
        progress = link.progress(call)
        if not call.mark or call.mark[0] != progress:
            call.mark = (progress, now)
        since = call.mark[1]
        return since if isinstance(since, float) else now

    def _cut_stuck(self, waiting: list[tuple[float, Link, ServedCall]], now: float) -> None:
        limits = self._host.limits
        size = sum({id(call.waits_for): _size(call.waits_for) for _, _, call in waiting}.values())
        waiting.sort(key=lambda each: each[0])
        for since, link, call in waiting:
            if now - since > limits.stuck_s:
                self._cut(link, call, "stuck", f"nothing was read for {limits.stuck_s:g} s")
            elif size > limits.waiting_bytes:
                size -= _size(call.waits_for)
                self._cut(link, call, "too much waits", "too much waits for those who read slowly")

    @staticmethod
    def _cut(link: Link, call: ServedCall, reason: str, text: str) -> None:
        STREAMS_CUT.labels(reason=reason).inc()
        log.warning("stream cut", address=link.peer.address, reason=text)
        call.end(STATUS["DEADLINE_EXCEEDED"], text)


def _size(message: Message | None) -> int:
    if message is None or isinstance(message, bytes):
        return len(message or b"")
    return sum(map(len, message))
