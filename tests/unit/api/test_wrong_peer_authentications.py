"""What counts in place of a PeerAuthentication that was never right: no door opens by what is wrong."""

from __future__ import annotations

import pytest

from isthmus.api import kind_of
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.model.peer_authentications import terms_of

SELECTOR = {"matchLabels": {"app": "web"}}
STRICT, PERMISSIVE, DISABLE = ({"mode": mode} for mode in ("STRICT", "PERMISSIVE", "DISABLE"))


def instead(spec):
    kind = kind_of("security.istio.io/v1", "PeerAuthentication")
    with pytest.raises(InvalidConfig) as raised:
        decode(kind, {"metadata": {"name": "a", "namespace": "default"}, "spec": spec})
    return raised.value.instead


@pytest.mark.parametrize(
    "spec",
    [
        {"mtls": {"mode": "strict"}},
        {"mtls": "STRICT"},
        {"mtl": STRICT},
        {"mtls": DISABLE, "ports": {}},
        {"mtls": PERMISSIVE, "portLevelMtls": {80: DISABLE}},
        {"selector": SELECTOR, "mtls": PERMISSIVE, "portLevelMtls": {"http": STRICT}},
        {"selector": SELECTOR, "mtls": PERMISSIVE, "portLevelMtls": {"http": {"mode": "strict"}}},
        {"selector": SELECTOR, "portLevelMtls": {80: "STRICT"}},
        ["STRICT"],
    ],
    ids=str,
)
def test_where_it_cannot_be_told_which_port_is_meant_all_are_strict(spec):
    found = terms_of([instead(spec)])
    assert (found.usual, found.ports) == ("STRICT", ())


def test_what_is_wrong_with_one_port_is_strict_there_alone():
    ports = {80: {"mode": "strict"}, 81: DISABLE}
    found = terms_of([instead({"selector": SELECTOR, "mtls": PERMISSIVE, "portLevelMtls": ports})])
    assert (found.usual, found.ports) == ("PERMISSIVE", ((80, "STRICT"), (81, "DISABLE")))


def test_a_port_that_is_none_opens_no_other():
    ports = {"http": DISABLE}
    found = terms_of([instead({"selector": SELECTOR, "mtls": STRICT, "portLevelMtls": ports})])
    assert (found.usual, found.ports) == ("STRICT", ())


@pytest.mark.parametrize("selector", [{"matchLabels": {"app": "we*"}}, ["app"]], ids=str)
def test_where_it_cannot_be_told_for_whom_it_is_nothing_counts(selector):
    assert instead({"selector": selector, "mtls": STRICT}) is None
