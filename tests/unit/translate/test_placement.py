from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.api.istio.load_balancer import Distribute, Failover, LocalityLbSetting
from isthmus.model.endpoint import Locality
from isthmus.translate.placement import Placement, Spot

HERE = Locality("eu", "eu-a", "rack-1")
NEAR, ZONE, REGION = HERE, Locality("eu", "eu-a", "rack-2"), Locality("eu", "eu-b")
HOME, US = Locality("home", "home-1"), Locality("us", "us-1")
ALL = (NEAR, ZONE, REGION, HOME, US)


def placed(settings, *, fails_over=True, values=()):
    return Placement(settings, fails_over, HERE, values)


def ranks(placement, *localities):
    return [placement.rank(Spot(each)) for each in localities]


def test_what_is_nearer_is_tried_first():
    assert ranks(placed(None), *ALL) == [0, 1, 2, 3, 3]


def test_without_outlier_detection_all_are_alike():
    assert ranks(placed(LocalityLbSetting(failover_priority=("version",)), fails_over=False), *ALL) == [0] * 5


def test_the_region_that_takes_over_comes_before_the_others():
    placement = placed(LocalityLbSetting(failover=(Failover(from_="eu", to="us"),)))
    assert ranks(placement, *ALL) == [0, 1, 2, 4, 3]


def test_an_unknown_locality_is_not_far():
    assert ranks(placed(None), Locality()) == [0]


def test_labels_count_up_to_the_first_that_differs():
    settings = LocalityLbSetting(failover_priority=("network", "version", "track"))
    placement = placed(settings, values=("n1", "v1", "stable"))

    def rank(*labels):
        return placement.rank(Spot(US, labels))

    order = [("n1", "v1", "stable"), ("n1", "v1", "x"), ("n1", "x", "stable"), ("x", "v1", "stable")]
    assert sorted(order, key=lambda labels: rank(*labels)) == order
    assert len({rank(*labels) for labels in order}) == 4


def test_with_a_region_that_takes_over_labels_come_first_and_then_localities():
    settings = LocalityLbSetting(failover_priority=("version",), failover=(Failover(from_="eu", to="us"),))
    placement = placed(settings, values=("v1",))
    order = [Spot(NEAR, ("v1",)), Spot(US, ("v1",)), Spot(HOME, ("v1",)), Spot(NEAR, ("v2",))]
    assert sorted(order, key=placement.rank) == order


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("*", ALL),
        ("eu/*", (NEAR, ZONE, REGION)),
        ("eu", (NEAR, ZONE, REGION)),
        ("eu/eu-a/*", (NEAR, ZONE)),
        ("eu/eu-a/rack-1", (NEAR,)),
    ],
)
def test_a_pattern_covers_what_begins_like_it(pattern, covered):
    settings = LocalityLbSetting(distribute=(Distribute(from_="eu/*", to={pattern: 100}),))
    assert [each for each in ALL if placed(settings).rank(Spot(each)) == 0] == list(covered)


def test_what_gets_no_share_takes_over_in_the_order_of_distance():
    settings = LocalityLbSetting(distribute=(Distribute(from_="eu/*", to={"home/*": 100, "us/*": 0}),))
    assert ranks(placed(settings), NEAR, ZONE, REGION, HOME, US) == [1, 2, 3, 0, 4]


def test_a_rule_for_elsewhere_changes_nothing():
    settings = LocalityLbSetting(distribute=(Distribute(from_="us/*", to={"us/*": 100}),))
    assert ranks(placed(settings), *ALL) == [0, 1, 2, 3, 3]


PERCENTS = st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(any)
COUNTS = st.lists(st.integers(1, 500), min_size=3, max_size=3)


@given(PERCENTS, COUNTS)
def test_each_locality_gets_the_share_that_the_rule_says(percents, counts):
    localities = (NEAR, REGION, HOME)
    to = dict(zip(("eu/eu-a/*", "eu/eu-b/*", "home/*"), percents, strict=True))
    placement = placed(LocalityLbSetting(distribute=(Distribute(from_="*", to=to),)))
    chosen = {
        each: count for each, count in zip(localities, counts, strict=True) if placement.rank(Spot(each)) == 0
    }
    weights = placement.weights(chosen)
    assert [weights[each] for each in chosen] == [percent for percent in percents if percent]


@given(COUNTS)
def test_localities_that_share_a_pattern_share_by_what_they_have(counts):
    found = dict(zip((NEAR, ZONE, REGION), counts, strict=True))
    placement = placed(LocalityLbSetting(distribute=(Distribute(from_="*", to={"eu/*": 100}),)))
    weights = placement.weights(found)
    assert 100 <= sum(weights.values()) <= 102, "shares are rounded up, so that none is without"
    assert all(weight >= 1 for weight in weights.values())
    ordered = sorted(found, key=found.get)
    assert [weights[each] for each in ordered] == sorted(weights.values())
