from __future__ import annotations

import pytest

from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.model.delegates import with_delegates

DOMAIN = "cluster.local"
ANYWHERE = [{"destination": {"host": "reviews"}}]


def rules(name, http, namespace="default", **spec):
    meta = {"name": name, "namespace": namespace}
    return decode(kind_named("VirtualService"), {"metadata": meta, "spec": {"http": http, **spec}})


def root(*matches, **route):
    http = [{"match": list(matches), "delegate": {"name": "team"}, **route}]
    return rules("root", http, hosts=["reviews"])


def team(*matches, **route):
    return rules("team", [{"match": list(matches), "route": ANYWHERE, **route}])


def merged(*found):
    """The root's routes, and what was told."""
    told = []
    first, *_ = with_delegates(found, DOMAIN, told.append)
    return first.spec.http, [(each.path, each.message) for each in told]


def test_without_delegates_nothing_changes():
    alone = rules("alone", [{"route": ANYWHERE}], hosts=["reviews"])
    assert with_delegates([alone], DOMAIN) == (alone,)
    assert with_delegates([alone], DOMAIN)[0] is alone


@pytest.mark.parametrize(
    ("outer", "inner", "both"),
    [
        ({}, {"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a"}}),
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/a/b"}}, {"uri": {"prefix": "/a/b"}}),
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}),
        ({"uri": {"regex": "x"}}, {"uri": {"regex": "x"}}, {"uri": {"regex": "x"}}),
        ({"method": {"exact": "GET"}}, {"port": 80}, {"method": {"exact": "GET"}, "port": 80}),
        (
            {"headers": {"a": {"prefix": "x"}}},
            {"headers": {"a": {"exact": "xy"}, "b": {"exact": "1"}}},
            {"headers": {"a": {"exact": "xy"}, "b": {"exact": "1"}}},
        ),
        ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"b": "2"}}, {"sourceLabels": {"a": "1", "b": "2"}}),
        ({"gateways": ["mesh", "edge"]}, {"gateways": ["edge"]}, {"gateways": ["edge"]}),
        (
            {"withoutHeaders": {"a": {}}},
            {"withoutHeaders": {"b": {}}},
            {"withoutHeaders": {"a": {}, "b": {}}},
        ),
        ({"name": "r"}, {"name": "d"}, {"name": "r-d"}),
    ],
)
def test_conditions_of_both_hold(outer, inner, both):
    routes, told = merged(root(outer), team(inner))
    (expected,) = rules("x", [{"match": [both], "route": ANYWHERE}]).spec.http
    assert routes[0].match == expected.match
    assert told == []


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}),
        ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}),
        ({"uri": {"prefix": "/a"}}, {"uri": {"regex": "/a.*"}}),
        ({"port": 80}, {"port": 81}),
        ({"sourceLabels": {"a": "1"}}, {"sourceLabels": {"a": "2"}}),
        ({"gateways": ["edge"]}, {"gateways": ["mesh"]}),
        ({"withoutHeaders": {"a": {"exact": "1"}}}, {"withoutHeaders": {"a": {"exact": "2"}}}),
    ],
)
def test_what_no_request_meets_is_left_out_and_told(outer, inner):
    routes, told = merged(root(outer), team(inner))
    assert routes == ()
    message = "has no effect: no request meets it and the root's conditions"
    assert told == [("$.spec.http[0].match", message)]


def test_each_pair_of_conditions_that_can_hold_is_kept():
    routes, told = merged(
        root({"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}),
        team({"uri": {"exact": "/a/1"}}, {"method": {"exact": "GET"}}),
    )
    assert len(routes[0].match) == 3
    assert told == []


def test_a_delegate_says_it_better_and_inherits_the_rest():
    routes, _ = merged(root(timeout="5s", retries={"attempts": 7}), team(timeout="1s", name="own"))
    assert (routes[0].timeout, routes[0].retries.attempts, routes[0].name) == ("1s", 7, "own")


def test_short_hosts_are_of_the_delegates_namespace():
    mirrored = {"route": ANYWHERE, "mirror": {"host": "shadow"}}
    delegate = rules("team", [mirrored], namespace="shop")
    start = rules("root", [{"delegate": {"name": "team", "namespace": "shop"}}], hosts=["reviews"])
    (route,), _ = merged(start, delegate)
    assert route.route[0].destination.host == "reviews.shop.svc.cluster.local"
    assert route.mirror.host == "shadow.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("delegate", "message"),
    [
        (
            rules("other", [{"route": ANYWHERE}]),
            "no VirtualService is called default/team (hint: apply it, or say here where requests go)",
        ),
        (
            rules("teams", [{"route": ANYWHERE}]),
            "no VirtualService is called default/team (hint: did you mean default/teams?)",
        ),
        (
            rules("teams", [{"route": ANYWHERE}], hosts=["reviews"]),
            "no VirtualService is called default/team (hint: apply it, or say here where requests go)",
        ),
        (
            rules("team", [{"route": ANYWHERE}], namespace="shop"),
            "no VirtualService is called default/team (hint: did you mean shop/team?)",
        ),
        (
            rules("team", [{"route": ANYWHERE}], hosts=["reviews"]),
            "default/team has hosts of its own (hint: a delegate has none)",
        ),
        (
            rules("team", [{"route": ANYWHERE}], exportTo=["shop"]),
            "default/team is not exported to default (hint: spec.exportTo)",
        ),
    ],
)
def test_a_delegate_that_cannot_be_one_is_told(delegate, message):
    routes, told = merged(root(), delegate)
    assert (routes, told) == ((), [("$.spec.http[0].delegate", message)])
