"""What we read, the API server takes: none of our definitions is narrower than the decoder behind it.

Objects are drawn as in `test_nothing_written_crashes.py`. Nulls are left out: the decoder takes each for a field that
is not there, while definitions know no null.
"""

from __future__ import annotations

import pytest
from hypothesis import given

from drawn.written import an_object
from fakes.defined import causes
from fakes.seeds import SEEDS, read
from fakes.shares import in_shares
from isthmus.api import KINDS
from isthmus.api.crd import custom_resource_definitions, gateway_api_definitions

DEFINED = {crd["metadata"]["name"] for crd in (*custom_resource_definitions(), *gateway_api_definitions())}
OURS = [kind for kind in KINDS if f"{kind.plural}.{kind.group}" in DEFINED]


def has_null(value):
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(has_null, inside))


@pytest.mark.parametrize("kind", OURS, ids=str)
def test_each_object_of_a_seed_that_we_read_is_taken(kind):
    taken = [each for each in SEEDS[kind] if not has_null(each["spec"]) and read(kind, each)]
    assert [(found, each) for each in taken if (found := causes(each))] == []


@in_shares(60)
def test_what_we_read_is_taken(share):
    @given(an_object())
    def holds(drawn):
        kind, each = drawn
        if kind in OURS and not has_null(each["spec"]) and read(kind, each):
            assert causes(each) == []

    share.run(holds)
