"""What Citadel knows of those who ask it, and how it says so."""

import msgspec

from fakes.pki import Pki
from isthmus.ca.authority import Issued
from isthmus.ca.ledger import Ledger
from isthmus.kit.clock import ManualClock

NOW = 1_800_000_000.0
REVIEWS, RATINGS = (
    "spiffe://cluster.local/ns/default/sa/reviews",
    "spiffe://cluster.local/ns/default/sa/ratings",
)


PEM = Pki().leaf(uris=(REVIEWS,)).certificate


def certificate(serial: str, life_s: float = 3600) -> Issued:
    return Issued((PEM,), serial, NOW + life_s)


async def test_the_newest_certificate_of_each_caller_is_known_and_how_many_it_got():
    ledger = Ledger(ManualClock(NOW))
    ledger.issued_to(REVIEWS, "ipv4:10.0.0.1", certificate("a"))
    ledger.issued_to(REVIEWS, "ipv4:10.0.0.1", certificate("b"))
    ledger.issued_to(REVIEWS, "ipv4:10.0.0.2", certificate("c"))
    ledger.issued_to(RATINGS, "ipv4:10.0.0.3", certificate("d"))
    assert [(each.identity, each.serial, each.count) for each in ledger.issued] == [
        (RATINGS, "d", 1),
        (REVIEWS, "b", 2),
        (REVIEWS, "c", 1),
    ]


async def test_certificates_that_have_ended_are_not_told():
    clock = ManualClock(NOW)
    ledger = Ledger(clock)
    ledger.issued_to(REVIEWS, "ipv4:10.0.0.1", certificate("a", life_s=60))
    await clock.advance(61)
    assert ledger.issued == ()


async def test_certificates_before_the_newest_are_told_for_as_long_as_they_are_good():
    clock = ManualClock(NOW)
    ledger = Ledger(clock)
    for number in range(7):
        ledger.issued_to(REVIEWS, "ipv4:10.0.0.1", certificate(f"{number}", life_s=60 * (number + 1)))
    (newest,) = ledger.issued
    assert newest.sha256 == certificate("6").sha256
    assert [each.serial for each in newest.earlier] == ["5", "4", "3", "2"]
    await clock.advance(240)
    ledger.issued_to(REVIEWS, "ipv4:10.0.0.1", certificate("7"))
    (newest,) = ledger.issued
    assert [each.serial for each in newest.earlier] == ["6", "5", "4"]


async def test_who_was_refused_is_told_until_it_gets_a_certificate():
    ledger = Ledger(ManualClock(NOW))
    ledger.refused_to("", "ipv4:10.0.0.1", "the token is not authentic")
    ledger.refused_to("", "ipv4:10.0.0.1", "the token is not authentic")
    ledger.refused_to(RATINGS, "ipv4:10.0.0.3", "csr: its key is weak")
    assert [(each.identity, each.count) for each in ledger.refused] == [("", 2), (RATINGS, 1)]
    ledger.issued_to(REVIEWS, "ipv4:10.0.0.1", certificate("a"))
    assert [each.identity for each in ledger.refused] == [RATINGS]


async def test_it_stays_small_whoever_asks():
    ledger = Ledger(ManualClock(NOW), most=3)
    for number in range(10):
        ledger.refused_to("", f"ipv4:10.0.0.{number}", "x" * 10_000)
        ledger.issued_to(REVIEWS, f"ipv4:10.1.0.{number}", certificate(str(number)))
    assert [each.address for each in ledger.refused] == [f"ipv4:10.0.0.{number}" for number in (7, 8, 9)]
    assert len(ledger.issued) == 3
    assert len(msgspec.json.encode(ledger.refused)) < 3000
