import base64
import json

import pytest

from fakes.tokens import FakeReviewer
from isthmus.ca.attest import Attester, Caller, NotProven
from isthmus.ca.limits import Limiter
from isthmus.ca.rates import Rate
from isthmus.ca.vouching import ReviewUnavailable, Voucher, Vouchers
from isthmus.kit.clock import ManualClock
from isthmus.model.identity import SpiffeId

NOW = 1_800_000_000.0
REVIEWS = Caller(SpiffeId("cluster.local", "default", "reviews"), "gke")


def attester(reviewer: FakeReviewer, clock: ManualClock | None = None) -> Attester:
    return Attester(Vouchers(Voucher("gke", reviewer)), "cluster.local", clock or ManualClock(NOW))


async def test_a_token_proves_its_service_account():
    caller = await attester(FakeReviewer({"t": "default:reviews"})).by_token("Bearer t")
    assert caller == REVIEWS


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer  "])
async def test_without_a_bearer_token_nothing_is_proven(header: str):
    with pytest.raises(NotProven, match="no bearer token"):
        await attester(FakeReviewer({})).by_token(header)


async def test_an_unknown_token_proves_nothing():
    with pytest.raises(NotProven, match="not authentic: unknown token"):
        await attester(FakeReviewer({})).by_token("Bearer t")


async def test_a_token_for_another_audience_proves_nothing():
    class Careless(FakeReviewer):
        async def review(self, token: str, audience: str):
            return await super().review(token, "api")

    with pytest.raises(NotProven) as raised:
        await attester(Careless({"t": "default:reviews"}, audiences=("api",))).by_token("Bearer t")
    assert raised.value.reason == "wrong audience"


async def test_a_user_that_is_no_service_account_is_no_workload():
    class Human(FakeReviewer):
        async def review(self, token: str, audience: str):
            return (await super().review(token, audience))._replace(user="alice")

    with pytest.raises(NotProven, match="'alice' is not a service account"):
        await attester(Human({"t": "default:reviews"})).by_token("Bearer t")


@pytest.mark.parametrize(
    "account",
    ["shop:x/ns/istio-system/sa/y", "shop/ns/istio-system:x", "shop:..", "shop:A", "shop:", ":x", "shop:x:y"],
)
async def test_an_api_server_cannot_name_an_account_that_reads_as_another(account: str):
    with pytest.raises(NotProven, match="is not a service account"):
        await attester(FakeReviewer({"t": account})).by_token("Bearer t")


async def test_a_token_is_believed_for_a_minute_and_doubted_for_seconds():
    reviewer, clock = FakeReviewer({"t": "default:reviews"}), ManualClock(NOW)
    who = attester(reviewer, clock)
    for _ in range(3):
        await who.by_token("Bearer t")
        with pytest.raises(NotProven):
            await who.by_token("Bearer u")
    assert reviewer.asked == ["t", "u"]
    reviewer.accounts["u"] = "default:late"
    await clock.advance(10)
    assert (await who.by_token("Bearer u")).identity.service_account == "late"
    del reviewer.accounts["t"]
    await who.by_token("Bearer t")
    await clock.advance(60)
    with pytest.raises(NotProven):
        await who.by_token("Bearer t")


async def test_an_api_server_that_is_away_is_no_refusal_and_is_asked_again():
    reviewer = FakeReviewer({"t": "default:reviews"})
    reviewer.away = True
    who = attester(reviewer)
    with pytest.raises(ReviewUnavailable):
        await who.by_token("Bearer t")
    reviewer.away = False
    assert await who.by_token("Bearer t") == REVIEWS


async def test_who_asks_too_often_waits_and_others_do_not():
    clock = ManualClock(NOW)
    limiter = Limiter(Rate(per_s=1, burst=2), clock)
    assert [limiter.allows("a") for _ in range(3)] == [True, True, False]
    assert limiter.allows("b")
    await clock.advance(1)
    assert [limiter.allows("a") for _ in range(2)] == [True, False]


def test_the_limiter_forgets_who_was_silent_longest():
    limiter = Limiter(Rate(per_s=0, burst=1), ManualClock(), most_keys=2)
    assert all(limiter.allows(key) for key in "abc")
    assert limiter.allows("a")


def jwt_until(end: float) -> str:
    """A token as far as it says of itself when it ends."""
    body = base64.urlsafe_b64encode(json.dumps({"exp": end, "aud": ["istio-ca"], "iss": "x"}).encode())
    return f"e30.{body.decode().rstrip('=')}.c2ln"


async def test_a_token_is_not_believed_for_longer_than_it_lives():
    token = jwt_until(NOW + 10)
    reviewer, clock = FakeReviewer({token: "default:reviews"}), ManualClock(NOW)
    who = attester(reviewer, clock)
    await who.by_token(f"Bearer {token}")
    await clock.advance(9)
    await who.by_token(f"Bearer {token}")
    assert len(reviewer.asked) == 1
    del reviewer.accounts[token]
    await clock.advance(1)
    with pytest.raises(NotProven, match="the token expired 0 s ago") as raised:
        await who.by_token(f"Bearer {token}")
    assert raised.value.reason == "token expired"


async def test_a_flood_of_tokens_that_are_none_makes_nobody_forgotten():
    reviewer = FakeReviewer({"good": "default:reviews"})
    who = attester(reviewer)
    await who.by_token("Bearer good")
    for number in range(10_001):
        with pytest.raises(NotProven):
            await who.by_token(f"Bearer {number}")
    await who.by_token("Bearer good")
    assert reviewer.asked.count("good") == 1
    with pytest.raises(NotProven):
        await who.by_token("Bearer 0")
    assert reviewer.asked.count("0") == 2, "what came first was forgotten first"


@pytest.mark.parametrize(
    "token", ["a.b", "a.b.c", "a.%%.c", "a.e30.c", "a.W10.c", "a.eyJleHAiOiJ4In0.c", "é.é.é"]
)
async def test_whatever_a_token_says_of_itself_it_is_only_refused(token: str):
    with pytest.raises(NotProven):
        await attester(FakeReviewer({})).by_token(f"Bearer {token}")
