import pytest

from fakes.tokens import FakeReviewer
from isthmus.ca.attest import Attester, Caller, NotProven
from isthmus.ca.limits import Limiter, Rate
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
