from __future__ import annotations

import itertools

from fakes.manifests import config, key
from isthmus.model.rules import (
    DestinationRules,
    virtual_services_by_gateway,
    virtual_services_by_host,
)

DOMAIN = "cluster.local"


def rule(name, spec, year=2020, namespace="default"):
    return config("DestinationRule", name, spec, f"{year}-01-01T00:00:00Z", namespace)


def routes(name, hosts, year=2020, gateways="[mesh]", namespace="default"):
    spec = f"{{hosts: {hosts}, gateways: {gateways}, http: [{{redirect: {{uri: /}}}}]}}"
    return config("VirtualService", name, spec, f"{year}-01-01T00:00:00Z", namespace)


def test_a_rule_by_itself_is_the_same_object():
    alone = rule("a", "{host: reviews}")
    assert DestinationRules([alone], DOMAIN).rule_for(key("reviews"), "x", "y") is alone


def test_the_oldest_virtual_service_holds_for_a_host():
    rules = [
        routes("young", "[reviews]", 2021),
        routes("old", "[reviews, ratings]", 2019),
        routes("b", "[ratings]", 2019),
    ]
    for order in itertools.permutations(rules):
        by_host = virtual_services_by_host(order, DOMAIN)
        assert {host: [each.metadata.name for each in claims] for host, claims in by_host.items()} == {
            "reviews.default.svc.cluster.local": ["old", "young"],
            "ratings.default.svc.cluster.local": ["b", "old"],
        }


def test_gateways_have_their_rules_by_namespace_and_name_the_oldest_first():
    rules = [
        routes("young", "[a]", 2021, "[edge, mesh]"),
        routes("old", "[a]", 2019, "[default/edge]", namespace="shop"),
        routes("other", "[a]", 2020, "[edge]", namespace="shop"),
    ]
    by_gateway = virtual_services_by_gateway(rules)
    assert {gateway: [each.metadata.name for each in found] for gateway, found in by_gateway.items()} == {
        ("default", "edge"): ["old", "young"],
        ("shop", "edge"): ["other"],
    }
