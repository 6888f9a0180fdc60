"""Where calls go by localities, row by row: nearest first, as rules share, and who takes over."""

from __future__ import annotations

import pytest

from fakes.ruled_manifests import HTTP, cluster, deployment, files, istio, node, service
from simulate import assert_goes

BASE = (
    node("e1", "eu"),
    node("e2", "us"),
    node("e3", "asia"),
    service("client", HTTP),
    deployment("client-eu", "client", node="e1"),
    deployment("client-us", "client", node="e2"),
    deployment("client-nowhere", "client"),
    service("s", HTTP),
    deployment("s-eu", "s", node="e1"),
    deployment("s-us", "s", "v2", node="e2", replicas=3),
    deployment("s-asia", "s", "v2", node="e3", replicas=1),
)
WEST = (
    cluster("west"),
    node("w1", "eu"),
    node("w2", "us"),
    service("s", HTTP),
    deployment("s-west-eu", "s", node="w1", replicas=3),
    service("only-us", HTTP),
    deployment("only-us", "only-us", node="w2", replicas=2),
)
DETECTION = "outlierDetection: {consecutive5xxErrors: 5}"


def mesh(setting="", detection=True, settings=""):
    """The two clusters, the balancing of `s` set so."""
    watch = f", {DETECTION}" if detection else ""
    rule = istio(
        "DestinationRule",
        "s",
        f"{{host: s, trafficPolicy: {{loadBalancer: {{localityLbSetting: {{{setting}}}}}{watch}}}}}",
    )
    case = f"kind: Case\nsettings: {{{settings}}}\n" if settings else ""
    parts = (cluster("east"), case, rule if setting else "", *BASE, service("only-us", HTTP), *WEST)
    return files(*(part for part in parts if part))


def shares(**by_region):
    """`distribute` from the EU: per cent by region."""
    to = ", ".join(f"'{region}/*': {share}" for region, share in by_region.items())
    return f"distribute: [{{from: 'eu/*', to: {{{to}}}}}]"


EU = {"s-eu": 25.0, "s-west-eu": 75.0}
EAST = {"s-eu": 20.0, "s-us": 60.0, "s-asia": 20.0}
ALL = {"s-eu": 12.5, "s-west-eu": 37.5, "s-us": 37.5, "s-asia": 12.5}


@pytest.mark.parametrize(
    ("setting", "caller", "lands_on"),
    [
        ("", "client-eu", EU),
        ("", "client-us", "s-us"),
        ("", "client-nowhere", ALL),
        ("enabled: true", "client-eu", EU),
        ("enabled: false", "client-eu", ALL),
        ("enabled: false", "client-us", ALL),
        (shares(eu=100), "client-eu", EU),
        (shares(us=100), "client-eu", "s-us"),
        (shares(eu=80, us=20), "client-eu", {"s-eu": 20.0, "s-west-eu": 60.0, "s-us": 20.0}),
        (shares(us=50, asia=50), "client-eu", {"s-us": 50.0, "s-asia": 50.0}),
        (shares(us=50, asia=50), "client-us", "s-us"),
        (shares(asia=100), "client-eu", "s-asia"),
        (shares(eu=80, us=20), "client-nowhere", ALL),
        ("failover: [{from: eu, to: asia}]", "client-eu", EU),
        ("failover: [{from: us, to: asia}]", "client-us", "s-us"),
        ("failoverPriority: ['topology.kubernetes.io/region']", "client-eu", EU),
        ("failoverPriority: ['topology.kubernetes.io/region']", "client-us", "s-us"),
        ("failoverPriority: ['version']", "client-eu", EU),
        ("failoverPriority: ['version=v2']", "client-eu", {"s-us": 75.0, "s-asia": 25.0}),
        ("failoverPriority: ['topology.istio.io/cluster']", "client-eu", EAST),
        ("failoverPriority: ['topology.istio.io/cluster=west']", "client-us", "s-west-eu"),
    ],
)
def test_calls_stay_near_unless_rules_share_them(setting, caller, lands_on):
    assert_goes(mesh(setting), caller, "http://s:9080/", lands_on, "mutual")


@pytest.mark.parametrize(
    ("setting", "caller", "without", "lands_on"),
    [
        ("", "client-eu", "east", "s-west-eu"),
        # A quarter of the nearest is left, which takes 1.4 times its share (Envoy's overprovisioning).
        ("", "client-eu", "west", {"s-eu": 35.0, "s-us": 48.8, "s-asia": 16.2}),
        ("", "client-us", "west", "s-us"),
        ("", "client-us", "east", "s-west-eu"),
        ("failover: [{from: us, to: eu}]", "client-us", "east", "s-west-eu"),
        (shares(us=100), "client-eu", "west", "s-us"),
        # Who gets no share takes over when all of those that get one are gone.
        (shares(us=100), "client-eu", "east", "s-west-eu"),
        (shares(us=50, asia=50), "client-eu", "east", "s-west-eu"),
        ("failoverPriority: ['topology.istio.io/cluster']", "client-eu", "east", "s-west-eu"),
    ],
)
def test_others_take_over_what_a_lost_cluster_had(setting, caller, without, lands_on):
    assert_goes(mesh(setting), caller, "http://s:9080/", lands_on, "mutual", without=without)


@pytest.mark.parametrize("caller", ["client-eu", "client-us", "client-nowhere"])
def test_what_is_in_one_place_alone_is_called_there_from_everywhere(caller):
    assert_goes(mesh(), caller, "http://only-us:9080/", "only-us", "mutual")


TO_US = '{distribute: [{from: "eu/*", to: {"us/*": 100}}]}'
OFF = "{enabled: false}"


@pytest.mark.parametrize(
    ("rule", "distribution", "of_mesh", "lands_on"),
    [
        ("", "", "", EU),
        ("", "", TO_US, "s-us"),
        ("", "PreferClose", TO_US, EU),
        ("", "PreferClose", OFF, EU),
        (f"localityLbSetting: {TO_US}", "PreferClose", "", "s-us"),
        (f"localityLbSetting: {OFF}", "PreferClose", TO_US, ALL),
        ("simple: RANDOM", "PreferClose", TO_US, EU),
        ("simple: RANDOM", "", TO_US, "s-us"),
    ],
)
def test_the_rule_counts_before_the_service_and_that_before_the_mesh(rule, distribution, of_mesh, lands_on):
    plain, near = service("s", HTTP), service("s", HTTP, more=f', trafficDistribution: "{distribution}"')
    parts = [near if distribution and each == plain else each for each in (cluster("east"), *BASE, *WEST)]
    if of_mesh:
        meta = "metadata: {name: istio, namespace: istio-system}"
        text = f"localityLbSetting: {of_mesh}"
        parts.insert(1, f"apiVersion: v1\nkind: ConfigMap\n{meta}\ndata: {{mesh: '{text}'}}\n")
    if rule:
        spec = f"{{host: s, trafficPolicy: {{loadBalancer: {{{rule}}}}}}}"
        parts.insert(1, istio("DestinationRule", "s", spec))
    assert_goes(files(*parts), "client-eu", "http://s:9080/", lands_on, "mutual")
