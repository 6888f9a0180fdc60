"""Who is asking: the proof of an identity by the cluster that gave it, and by nothing else.

NotProven: the caller has not shown who it is; `reason` is for metrics.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple, Protocol

from isthmus.kit.clock import Clock
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import AUDIENCE

_CACHED_TOKENS = 10_000
_BELIEVED_S = 60.0  # a deleted account keeps its certificates for longer than that anyway
_DOUBTED_S = 5.0  # a refused token is asked about again soon: the API server's caches lag behind
_ACCOUNT = "system:serviceaccount:"


class NotProven(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ReviewUnavailable(Exception):
    """The API server did not answer, so nothing is known of the token."""


class Review(NamedTuple):
    """What the API server says of a token: `user` is empty where it is not authentic."""

    user: str = ""
    audiences: tuple[str, ...] = ()
    error: str = ""


class Reviewer(Protocol):
    """The API server of the caller's own cluster."""

    async def review(self, token: str, audience: str) -> Review:
        """What it says of `token`. Raises `ReviewUnavailable`."""
        ...


class Attester:
    """Callers by the tokens they show."""

    def __init__(self, reviewer: Reviewer, trust_domain: str, clock: Clock) -> None:
        self._reviewer, self._trust_domain, self._clock = reviewer, trust_domain, clock
        self._reviews: OrderedDict[bytes, tuple[float, Review]] = OrderedDict()

    async def by_token(self, authorization: str) -> SpiffeId:
        """The service account in `Bearer <token>`, as the cluster's API server says.

        Raises `NotProven`, and `ReviewUnavailable` where nobody can say.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NotProven("no token", "no bearer token (hint: authorization: Bearer <projected token>)")
        review = await self._review(token.strip())
        if not review.user:
            raise NotProven("token refused", f"the token is not authentic: {review.error or 'refused'}")
        if AUDIENCE not in review.audiences:
            raise NotProven("wrong audience", f"the token is not for {AUDIENCE!r}")
        namespace, _, account = review.user.removeprefix(_ACCOUNT).partition(":")
        if not review.user.startswith(_ACCOUNT) or not namespace or not account:
            raise NotProven("not a workload", f"{review.user!r} is not a service account")
        return SpiffeId(self._trust_domain, namespace, account)

    async def _review(self, token: str) -> Review:
        digest = sha256(token.encode()).digest()  # tokens themselves are not kept
        until, review = self._reviews.get(digest, (0.0, Review()))
        if self._clock.monotonic() < until:
            return review
        review = await self._reviewer.review(token, AUDIENCE)
        keep_s = _BELIEVED_S if review.user else _DOUBTED_S
        self._reviews[digest] = (self._clock.monotonic() + keep_s, review)
        self._reviews.move_to_end(digest)
        while len(self._reviews) > _CACHED_TOKENS:
            self._reviews.popitem(last=False)
        return review
