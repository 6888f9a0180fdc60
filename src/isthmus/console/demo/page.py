"""The product page, as the demo's visitor sees it."""

from __future__ import annotations

import re
from collections import Counter
from enum import Enum

import aiohttp
import msgspec

from isthmus.kit.clock import Clock, SystemClock

_SERVED = re.compile(r"Reviews served by: ([\w.-]+)(?: on ([\w.-]+))?")
_LIMIT = aiohttp.ClientTimeout(total=15)


class Stars(Enum):
    """What the reviews on a page look like, which tells their version."""

    NONE = "no stars (v1)"
    BLACK = "black stars (v2)"
    RED = "red stars (v3)"
    MISSING = "no reviews"


class Page(msgspec.Struct, frozen=True):
    """One visit."""

    status: int
    stars: Stars
    pod: str = ""
    node: str = ""

    @property
    def complete(self) -> bool:
        """Whether the page came and had reviews on it."""
        return self.status == 200 and self.stars is not Stars.MISSING


def read_page(status: int, text: str) -> Page:
    """The visit that gave `text`."""
    served = _SERVED.search(text)
    if status != 200 or served is None:
        return Page(status, Stars.MISSING)
    stars = Stars.NONE
    if "glyphicon-star" in text:
        stars = Stars.RED if "color: red" in text else Stars.BLACK
    return Page(status, stars, served[1], served[2] or "")


class Visitor:
    """Somebody with a browser: asks for the product page at `url`, as a user if told so."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url, self._clock = url, clock or SystemClock()

    async def visit(self, user: str = "") -> Page:
        """The page now; status 0 where there was no answer."""
        async with aiohttp.ClientSession(timeout=_LIMIT) as session:
            return await self._visit(session, user)

    async def visits(self, count: int, user: str = "") -> Counter[Stars]:
        """What `count` visits showed, one after the other."""
        seen: Counter[Stars] = Counter()
        async with aiohttp.ClientSession(timeout=_LIMIT) as session:
            for _ in range(count):
                seen[(await self._visit(session, user)).stars] += 1
        return seen

    async def until(self, wanted: Stars, limit_s: float, user: str = "") -> float | None:
        """Seconds until a page showed `wanted`; None if none did within `limit_s`."""
        begun = self._clock.monotonic()
        async with aiohttp.ClientSession(timeout=_LIMIT) as session:
            while (passed := self._clock.monotonic() - begun) < limit_s:
                if (await self._visit(session, user)).stars is wanted:
                    return self._clock.monotonic() - begun
                await self._clock.sleep(0.05 if passed < 5 else 0.2)
        return None

    async def _visit(self, session: aiohttp.ClientSession, user: str) -> Page:
        cookies = {"Cookie": f"user={user}"} if user else {}
        try:
            async with session.get(self._url, headers=cookies) as answer:
                return read_page(answer.status, await answer.text())
        except (aiohttp.ClientError, TimeoutError):
            return Page(0, Stars.MISSING)
