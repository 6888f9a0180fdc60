"""Who is asking: the proof of an identity by the cluster that gave it, and by nothing else.

NotProven: the caller has not shown who it is; `reason` is for metrics.
└── NotVouched: the caller has, to a cluster whose word does not count for it
"""

from __future__ import annotations

import re
from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple

from isthmus.ca import claims
from isthmus.ca.vouching import Review, Voucher, Vouchers
from isthmus.kit.clock import Clock
from isthmus.model.identity import SpiffeId
from isthmus.model.signing import AUDIENCE

_CACHED_TOKENS = 10_000
_BELIEVED_S = 60.0  # a deleted account keeps its certificates for longer than that anyway
_DOUBTED_S = 5.0  # a refused token is asked about again soon: the API server's caches lag behind
_ACCOUNT = "system:serviceaccount:"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""Of a namespace or an account, as Kubernetes allows it: the API server of another cluster need not be honest."""
_GONE = ("deleted", "invalidated", "of the same name", "revoked", "not found")
"""In an API server's word on a token whose pod or account is gone."""


class NotProven(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotVouched(NotProven):
    pass


class Caller(NamedTuple):
    """Who a caller has proven to be, and by which cluster's word."""

    identity: SpiffeId
    cluster: str
    pod: str = ""
    proof: str = "token"
    serial: str = ""
    """Of the certificate that is the proof."""


_Key = tuple[str, bytes]
"""A cluster, and the digest of a token."""


class _Reviews:
    """The newest reviews, each until its time; those that came first are forgotten first."""

    def __init__(self) -> None:
        self._reviews: OrderedDict[_Key, tuple[float, Review]] = OrderedDict()

    def get(self, key: _Key, now: float) -> Review | None:
        until, review = self._reviews.get(key, (0.0, None))
        return review if now < until else None

    def put(self, key: _Key, until: float, review: Review) -> None:
        self._reviews[key] = (until, review)
        self._reviews.move_to_end(key)
        while len(self._reviews) > _CACHED_TOKENS:
            self._reviews.popitem(last=False)


class Attester:
    """Callers by the tokens they show."""

    def __init__(self, vouchers: Vouchers, trust_domain: str, clock: Clock) -> None:
        self._vouchers, self._trust_domain, self._clock = vouchers, trust_domain, clock
        # Apart, so that a flood of tokens that are none does not make us forget those that are.
        self._believed, self._doubted = _Reviews(), _Reviews()

    async def by_token(self, authorization: str, claimed: str = "") -> Caller:
        """The service account in `Bearer <token>`, as the API server of the `claimed` cluster says.

        The claim only tells whom to ask: a token of another cluster is refused there, and a cluster that we do
        not know is taken for our own. Raises `NotProven`, and `ReviewUnavailable` where nobody can say.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NotProven("no token", "no bearer token (hint: authorization: Bearer <projected token>)")
        voucher = self._vouchers.named(claimed)
        review = await self._review(token.strip(), voucher)
        if not review.user:
            raise self._refused(token.strip(), review, voucher.cluster, claimed)
        if AUDIENCE not in review.audiences:
            raise NotProven("wrong audience", f"the token is not for {AUDIENCE!r}")
        namespace, _, account = review.user.removeprefix(_ACCOUNT).partition(":")
        # A name with a slash in it would be read as another identity by those who match a part of it.
        if not review.user.startswith(_ACCOUNT) or not all(map(_NAME.fullmatch, (namespace, account))):
            raise NotProven("not a workload", f"{review.user!r} is not a service account")
        if not voucher.covers(namespace):
            raise NotVouched(
                "not vouched",
                f"the word of cluster {voucher.cluster!r} does not count for namespace {namespace!r} "
                f"(hint: --vouch={voucher.cluster}={namespace} at Citadel)",
            )
        return Caller(SpiffeId(self._trust_domain, namespace, account), voucher.cluster, review.pod)

    def _refused(self, token: str, review: Review, cluster: str, claimed: str) -> NotProven:
        """Why the token was refused, as far as its own words and those of the API server tell."""
        said = review.error or "refused"
        found = claims.read(token)
        if found is not None and found.end <= self._clock.now():
            late_s = round(self._clock.now() - found.end)
            return NotProven("token expired", f"the token expired {late_s} s ago ({said})")
        if found is not None and not found.is_for(AUDIENCE):
            return NotProven("wrong audience", f"the token is not for {AUDIENCE!r}: {said}")
        if any(word in said for word in _GONE):
            return NotProven("token replayed", f"the token outlived what it is bound to: {said}")
        asked = f"API server of cluster {cluster!r}"
        if claimed and claimed != cluster:
            hint = f"cluster {claimed!r}, which the caller names, is not registered with this Citadel"
        elif found is not None:
            hint = f"the token was issued by {found.issuer!r}: is it of another cluster?"
        else:
            hint = "it is none of a service account"
        return NotProven(
            "token refused", f"the token is not authentic: {said}, says the {asked} (hint: {hint})"
        )

    async def _review(self, token: str, voucher: Voucher) -> Review:
        key = (voucher.cluster, sha256(token.encode()).digest())  # tokens themselves are not kept
        now = self._clock.monotonic()
        kept = self._believed.get(key, now) or self._doubted.get(key, now)
        if kept is not None:
            return kept
        review = await voucher.reviewer.review(token, AUDIENCE)
        reviews = self._believed if review.user else self._doubted
        reviews.put(key, self._clock.monotonic() + self._kept_s(token, review), review)
        return review

    def _kept_s(self, token: str, review: Review) -> float:
        """How long the review counts: a token that ends is not believed for longer than it lives."""
        if not review.user:
            return _DOUBTED_S
        found = claims.read(token)
        return min(_BELIEVED_S, found.end - self._clock.now()) if found else _BELIEVED_S
