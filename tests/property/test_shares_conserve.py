"""The shares of a route are those that were written: of each destination, mirror and redirect, none lost or doubled."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fakes.bookinfo import GATEWAY, objects, service
from fakes.edge import GKE, INGRESS
from fakes.manifests import made, put
from isthmus.api.errors import InvalidConfig
from isthmus.envoy.types import Listener, RouteConfiguration, TcpProxy
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.model.proxy import Proxy, ProxyKind
from isthmus.translate.generation import Translator
from isthmus.translate.types import LISTENER, ROUTES

SIDECAR = Proxy(kind=ProxyKind.SIDECAR, address="10.10.0.11", name="a", namespace="default", cluster=GKE)
NAMES = ("alpha", "beta", "gamma", "delta")
WORLD = objects(
    gke=[
        *(
            service(name, f"10.110.0.{number}", "{port: 80, name: http}, {port: 90, name: tcp}")
            for number, name in enumerate(NAMES, 10)
        ),
        service("called", "10.110.0.9", "{port: 80, name: http}, {port: 90, name: tcp}"),
        service("sealed", "10.110.0.8", "{port: 443, name: tls}"),
        GATEWAY,
    ]
)
LARGEST = 2**32 - 1
"""What Envoy takes as the sum of a route's weights."""

destinations = st.fixed_dictionaries(
    {"host": st.sampled_from(NAMES), "port": st.sampled_from([{"number": 80}, {"number": 90}])},
    optional={"subset": st.sampled_from(["v1", "v2"])},
)
weights = st.one_of(st.integers(0, 100), st.integers(0, LARGEST // 3))
shares = st.lists(
    st.fixed_dictionaries({"destination": destinations, "weight": weights}), min_size=1, max_size=5
)
headed = st.lists(
    st.fixed_dictionaries(
        {"destination": destinations, "weight": weights},
        optional={"headers": st.just({"request": {"set": {"x-a": "b"}}})},
    ),
    min_size=1,
    max_size=5,
)
percents = st.integers(0, 1_000_000).map(lambda millionths: millionths / 10_000)
mirrors = st.lists(
    st.fixed_dictionaries(
        {"destination": destinations},
        optional={"percentage": st.fixed_dictionaries({"value": percents})},
    ),
    max_size=3,
)
rules = st.one_of(
    st.fixed_dictionaries({"route": headed}, optional={"mirrors": mirrors}),
    st.fixed_dictionaries({"redirect": st.just({"uri": "/moved"})}),
)


def told(proxy, name, spec):
    """What a proxy is told once a VirtualService is there: by type, each resource by name."""
    step = MeshBuilder(MeshSettings(config_cluster=GKE)).apply(
        [*WORLD, put(GKE, made("VirtualService", name, spec=spec))]
    )
    generation = Translator().generation(step.mesh, step.delta)
    return {
        url: {one.name: one for one in generation.resources(proxy, url, None)} for url in (LISTENER, ROUTES)
    }


def upstream(destination):
    subset = destination.get("subset", "")
    return (
        f"outbound|{destination['port']['number']}|{subset}|{destination['host']}.default.svc.cluster.local"
    )


def written(several):
    """The part of the whole that each upstream gets; one share alone is the whole, whatever it weighs."""
    if len(several) == 1:
        return {upstream(several[0]["destination"]): 1}
    whole, found = sum(each["weight"] for each in several), Counter()
    for each in several:
        found[upstream(each["destination"])] += Fraction(each["weight"], whole)
    return {name: share for name, share in found.items() if share}


def sent(action):
    """The same as Envoy is told it, by the action of a route or by a TCP proxy."""
    clusters = action.weighted_clusters.clusters
    if not clusters:
        return {action.cluster: 1}
    # A route's weights are wrapped, those of a TCP proxy bare.
    several = [(each.name, getattr(each.weight, "value", each.weight)) for each in clusters]
    whole, found = sum(weight for _, weight in several), Counter()
    assert 0 < whole <= LARGEST
    for name, weight in several:
        found[name] += Fraction(weight, whole)
    return dict(found)


def fits(several):
    """Whether an API server takes these shares: not all nothing, nor more than Envoy can add up."""
    whole = sum(each["weight"] for each in several)
    return (len(several) == 1 or whole > 0) and whole <= LARGEST


def mirrored(action):
    """How much of a route's requests each mirror gets, in millionths."""
    parts = {0: 10_000, 1: 100, 2: 1}  # of FractionalPercent.DenominatorType: hundred, ten thousand, million
    return [
        (each.cluster, share.numerator * parts[share.denominator])
        for each in action.request_mirror_policies
        for share in [each.runtime_fraction.default_value]
    ]


def conserves(rule, route):
    """Whether `route` does what `rule` says, and nothing else."""
    if "redirect" in rule:
        return route.WhichOneof("action") == "redirect" and route.redirect.path_redirect == "/moved"
    mirrors = [
        (upstream(each["destination"]), round(each.get("percentage", {"value": 100})["value"] * 10_000))
        for each in rule.get("mirrors", ())
    ]
    same = sent(route.route) == written(rule["route"]) and mirrored(route.route) == mirrors
    return route.WhichOneof("action") == "route" and same


@pytest.mark.parametrize(
    ("proxy", "hosts", "gateways"), [(SIDECAR, ["called"], []), (INGRESS, ["*"], ["bookinfo"])]
)
@settings(max_examples=60, deadline=None)
@given(several=st.lists(st.tuples(rules, st.integers(1, 2)), min_size=1, max_size=4))
def test_each_rule_sends_on_what_is_written(proxy, hosts, gateways, several):
    assume(all(fits(rule["route"]) for rule, _ in several if "route" in rule))
    http = [
        {
            "name": f"{number}",
            "match": [{"uri": {"exact": f"/{number}/{n}"}} for n in range(conditions)],
            **rule,
        }
        for number, (rule, conditions) in enumerate(several)
    ]
    spec = {"hosts": hosts, "http": http} | ({"gateways": gateways} if gateways else {})
    found = told(proxy, "called", spec)[ROUTES]
    [config] = [found[name] for name in ("80", "http.80") if name in found]
    routes = {
        route.match.path: route
        for host in RouteConfiguration.FromString(config.body).virtual_hosts
        if any(each in ("*", "called") for each in host.domains)
        for route in host.routes
        if route.match.path
    }
    paths = [each["uri"]["exact"] for rule in http for each in rule["match"]]
    assert sorted(routes) == sorted(paths)
    for rule in http:
        for each in rule["match"]:
            assert conserves(rule, routes[each["uri"]["exact"]]), rule


@settings(max_examples=60, deadline=None)
@given(shares, st.booleans())
def test_connections_are_shared_as_is_written(several, sealed):
    assume(fits(several))
    if sealed:
        spec = {"hosts": ["sealed"], "tls": [{"match": [{"sniHosts": ["sealed"]}], "route": several}]}
    else:
        spec = {"hosts": ["called"], "tcp": [{"route": several}]}
    listeners = told(SIDECAR, "called", spec)[LISTENER]
    own = Listener.FromString(listeners["10.110.0.8_443" if sealed else "10.110.0.9_90"].body)
    proxies = [
        TcpProxy.FromString(each.typed_config.value)
        for chain in (*own.filter_chains, own.default_filter_chain)
        for each in chain.filters
        if each.typed_config.type_url.endswith(".TcpProxy")
    ]
    # Whoever calls the sealed one without its server name is led to itself, in a chain of its own.
    asked = [sent(each) for each in proxies if not each.cluster.startswith("outbound|443|")]
    assert asked == [written(several)]


@pytest.mark.parametrize("form", ["http", "tcp"])
def test_shares_of_which_all_are_nothing_are_refused(form):
    nothing = [{"destination": {"host": name}, "weight": 0} for name in NAMES[:2]]
    with pytest.raises(InvalidConfig, match="weights are all 0"):
        made("VirtualService", "called", spec={"hosts": ["called"], form: [{"route": nothing}]})
