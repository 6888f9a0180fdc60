"""What is known of a call without an identity, and what is not."""

from __future__ import annotations

import msgspec
import pytest

from isthmus.api.istio.authorization_policy import Rule
from isthmus.model.stranger import Stranger

PROBE = Stranger(8080, "GET", "/ready")


def source(**said: list[str]) -> dict:
    return {"from": [{"source": said}]}


def operation(**said: list[str]) -> dict:
    return {"to": [{"operation": said}]}


@pytest.mark.parametrize(
    ("rule", "may", "is_sure"),
    [
        ({}, True, True),
        (source(principals=["*"]), False, False),
        (source(requestPrincipals=["*"]), False, False),
        (source(notNamespaces=["shop"]), True, True),
        (source(ipBlocks=["10.0.0.0/8"]), True, False),
        (source(notPrincipals=["*"], notIpBlocks=["10.0.0.0/8"]), True, False),
        ({"from": [{"source": {"namespaces": ["a"]}}, {"source": {"notNamespaces": ["a"]}}]}, True, True),
        (operation(paths=["/ready"], ports=["8080"], methods=["GET"]), True, True),
        (operation(paths=["/re*"]), True, True),
        (operation(paths=["*dy"]), True, True),
        (operation(paths=["/{*}"]), True, True),
        (operation(paths=["/{*}/x", "/a/{**}"]), False, False),
        (operation(notPaths=["/ready"]), False, False),
        (operation(notMethods=["POST"], notPorts=["9090"]), True, True),
        (operation(ports=["9090"]), False, False),
        (operation(hosts=["shop"]), True, False),
        ({"when": [{"key": "source.principal", "values": ["*"]}]}, False, False),
        ({"when": [{"key": "source.cluster", "notValues": ["east"]}]}, True, True),
        ({"when": [{"key": "request.auth.claims[group]", "values": ["a"]}]}, False, False),
        ({"when": [{"key": "request.headers[x]", "values": ["a"]}]}, True, False),
        ({"when": [{"key": "destination.port", "values": ["8080"]}]}, True, True),
        ({"when": [{"key": "destination.port", "notValues": ["8080"]}]}, False, False),
    ],
)
def test_what_a_rule_means_of_a_probe(rule: dict, may: bool, is_sure: bool):
    found = msgspec.convert(rule, Rule)
    assert (PROBE.may_be_meant(found), PROBE.is_meant(found)) == (may, is_sure)
