"""A property's examples in shares, so that a run of any length shows how far it is and goes on where it was cut off.

    ISTHMUS_EXAMPLES=20000 pytest -v tests/property/test_nothing_written_crashes.py

A share is a test of its own. In a run of several, what a share draws follows from its number: it finds again what it
found, and `ISTHMUS_FROM=37` leaves out those before. A run of one share draws other examples each time.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest
from hypothesis import Phase, seed, settings

_LARGEST = 60
_LONG_S = 900  # what is found in a long run is worth its shrinking
_WANTED, _FROM = int(os.environ.get("ISTHMUS_EXAMPLES", "0")), int(os.environ.get("ISTHMUS_FROM", "0"))


class Share(NamedTuple):
    """Some of the examples of a run."""

    number: int
    examples: int
    is_alone: bool

    def run(self, holds, phases=tuple(Phase)):
        """Draw them for `holds`, which is wrapped in `given` already."""
        bounded = settings(max_examples=self.examples, phases=phases)(holds)
        (bounded if self.is_alone else seed(self.number)(bounded))()


def in_shares(usual):
    """Decorates a test that takes a `share`: of `usual` examples, or of as many as the environment wants."""
    wanted = _WANTED or usual
    firsts = range(0, wanted, _LARGEST)
    shares = [Share(each // _LARGEST, min(_LARGEST, wanted - each), len(firsts) == 1) for each in firsts]

    def decorated(test):
        limit = pytest.mark.timeout(_LONG_S) if len(shares) > 1 else lambda same: same
        named = pytest.mark.parametrize("share", shares[_FROM:], ids=lambda one: f"share{one.number}")
        return limit(named(test))

    return decorated
