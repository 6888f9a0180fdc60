"""How endpoints of other networks are reached, and how far localities are from each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.endpoint import Endpoint, Locality
from isthmus.model.locality import distance
from isthmus.model.names import FLAT, ClusterId, NetworkId
from isthmus.model.network import Direct, NetworkGateway, Networks, Unreachable, Via

EAST, WEST = NetworkId("east"), NetworkId("west")
DOORS = (NetworkGateway("203.0.113.7", 15443), NetworkGateway("203.0.113.8", 15443))


def endpoint(network, *, tls=True):
    return Endpoint(
        address="10.0.0.1", ports=(("http", 80),), cluster=ClusterId("c"), network=network, tls=tls
    )


@given(st.sampled_from([FLAT, EAST, WEST]), st.sampled_from([FLAT, EAST, WEST]), st.booleans())
def test_without_gateways_everything_is_reached_directly(here, there, tls):
    assert Networks().reach(here, endpoint(there, tls=tls)) == Direct()
    assert Networks({there: frozenset()}).reach(here, endpoint(there, tls=tls)) == Direct()


def test_another_network_is_entered_through_its_gateways_in_one_order():
    assert Networks({WEST: frozenset(reversed(DOORS))}).reach(EAST, endpoint(WEST)) == Via(DOORS)


def test_who_is_in_no_known_network_goes_through_gateways_too():
    assert Networks({WEST: frozenset(DOORS)}).reach(FLAT, endpoint(WEST)) == Via(DOORS)


def test_ones_own_network_is_never_entered_through_its_gateways():
    networks = Networks({WEST: frozenset(DOORS)})
    assert networks.reach(WEST, endpoint(WEST)) == Direct()
    assert networks.reach(WEST, endpoint(FLAT)) == Direct()


def test_plain_text_does_not_cross_networks():
    found = Networks({WEST: frozenset(DOORS)}).reach(EAST, endpoint(WEST, tls=False))
    assert isinstance(found, Unreachable)
    assert "west" in found.reason


# Localities

parts = st.sampled_from(["", "a", "b"])
localities = st.builds(Locality, parts, parts, parts)


@pytest.mark.parametrize(
    ("there", "far"),
    [
        (Locality("eu", "a", "1"), 0),
        (Locality("eu", "a", "2"), 1),
        (Locality("eu", "b", "1"), 2),
        (Locality("us", "a", "1"), 3),
        (Locality(), 0),
        (Locality("eu"), 0),
    ],
)
def test_the_first_part_that_differs_decides_how_far_it_is(there, far):
    assert distance(Locality("eu", "a", "1"), there) == far


@given(localities, localities)
def test_both_sides_are_equally_far_and_the_unknown_is_near(one, other):
    assert distance(one, other) == distance(other, one)
    assert distance(one, Locality()) == distance(one, one) == 0
