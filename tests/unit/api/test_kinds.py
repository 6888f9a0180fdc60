"""Refs name kinds without doubt, though two kinds may have one name."""

from __future__ import annotations

import pytest

from isthmus.api import KINDS, kind_named
from isthmus.api.errors import UnknownKind
from isthmus.api.gateway_api.kinds import KINDS as GATEWAY_API
from isthmus.api.resource import Meta, Ref

EVERY = tuple({(kind.group, kind.name): kind for kind in (*KINDS, *GATEWAY_API)}.values())


def test_no_two_kinds_are_named_alike_in_refs():
    names = [kind.ref_kind for kind in EVERY]
    assert len(names) == len(set(names))


def test_a_kind_whose_name_is_anothers_says_its_group():
    (gateway,) = [kind for kind in GATEWAY_API if kind.name == "Gateway"]
    assert gateway.ref(Meta(name="web", namespace="shop")) == Ref(
        "Gateway.gateway.networking.k8s.io", "shop", "web"
    )
    assert (
        str(gateway.ref(Meta(name="web", namespace="shop"))) == "Gateway.gateway.networking.k8s.io shop/web"
    )
    assert kind_named("Gateway").group == "networking.istio.io"


def test_every_kind_is_found_by_what_its_refs_say():
    for kind in KINDS:
        assert kind_named(kind.ref_kind) is kind
    with pytest.raises(UnknownKind):
        kind_named("Gatewäy")
