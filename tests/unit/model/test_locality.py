from __future__ import annotations

import pytest

from isthmus.model.endpoint import Locality
from isthmus.model.locality import distance

HERE = Locality("eu", "eu-a", "rack1")


@pytest.mark.parametrize(
    ("there", "far"),
    [
        (HERE, 0),
        (Locality("eu", "eu-a", "rack2"), 1),
        (Locality("eu", "eu-b", "rack1"), 2),
        (Locality("us", "eu-a", "rack1"), 3),
        (Locality("eu", "eu-a"), 0),
        (Locality("eu"), 0),
        (Locality("us"), 3),
        (Locality(), 0),
    ],
)
def test_what_is_not_known_is_not_far(there, far):
    assert distance(HERE, there) == far
    assert distance(there, HERE) == far


def test_a_locality_is_shown_without_its_unknown_parts():
    assert [str(each) for each in (HERE, Locality("eu"), Locality())] == ["eu/eu-a/rack1", "eu", ""]
