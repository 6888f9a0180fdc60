from __future__ import annotations

from isthmus.kit.backoff import Backoff


def test_waits_double_up_to_the_limit_and_start_again_after_a_success():
    backoff = Backoff(1, 5, chance=lambda: 0.0)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next_s() == 1


def test_chance_cuts_a_wait_by_up_to_the_jitter():
    assert Backoff(1, 5, jitter=0.5, chance=lambda: 1.0).next_s() == 0.5
