"""Whatever the networks, a proxy sees of a service just what its endpoints weigh, and only what it can reach."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.api.istio.load_balancer import Distribute, LocalityLbSetting
from isthmus.envoy.types import ClusterLoadAssignment
from isthmus.model.endpoint import Endpoint, EndpointShard, Health, Locality
from isthmus.model.names import FLAT, ClusterId, NetworkId
from isthmus.model.network import Direct, NetworkGateway, Networks, Unreachable
from isthmus.translate.endpoints import Assignments, Selection
from isthmus.translate.placement import Placement, Standpoint
from isthmus.translate.split_horizon import ways

NETWORKS = (FLAT, NetworkId("east"), NetworkId("west"), NetworkId("south"))
CLUSTERS = (ClusterId("a"), ClusterId("b"), ClusterId("c"))
LOCALITIES = (Locality(), Locality("eu", "a"), Locality("eu", "b"), Locality("us", "a"))
SETTINGS = (
    None,
    LocalityLbSetting(),
    LocalityLbSetting(distribute=(Distribute(from_="eu/*", to={"eu/a": 70, "us/*": 30}),)),
)

endpoints = st.builds(
    lambda number, cluster, network, locality, health, tls, weight: Endpoint(
        address=f"10.0.0.{number}",
        ports=(("http", 80),),
        cluster=cluster,
        network=network,
        locality=locality,
        health=health,
        tls=tls,
        weight=weight,
    ),
    st.integers(1, 30),
    st.sampled_from(CLUSTERS),
    st.sampled_from(NETWORKS),
    st.sampled_from(LOCALITIES),
    st.sampled_from([Health.HEALTHY, Health.HEALTHY, Health.DRAINING, Health.UNHEALTHY]),
    st.booleans(),
    st.integers(1, 9),
)
gateways = st.builds(
    lambda number, cluster, locality: NetworkGateway(f"203.0.113.{number}", 15443, cluster, locality),
    st.integers(1, 5),
    st.sampled_from([ClusterId(""), *CLUSTERS]),
    st.sampled_from(LOCALITIES),
)
networks = st.builds(
    Networks,
    st.dictionaries(st.sampled_from(NETWORKS[1:]), st.frozensets(gateways, max_size=4)),
    st.frozensets(st.sampled_from(NETWORKS[1:]), max_size=1),
)
meshes = st.dictionaries(st.tuples(st.sampled_from(CLUSTERS), st.integers(1, 30)), endpoints).map(
    lambda found: [
        Endpoint(
            **{name: getattr(each, name) for name in each.__struct_fields__}
            | {"cluster": cluster, "address": f"10.{CLUSTERS.index(cluster)}.0.{number}"}
        )
        for (cluster, number), each in found.items()
    ]
)


def seen(everyone, known, here, setting=None):
    """The assignment as one in network `here` sees it."""
    shards = defaultdict(list)
    for each in sorted(everyone, key=lambda each: each.address):
        shards[each.cluster].append(each)
    whole = {cluster: EndpointShard(tuple(found)) for cluster, found in shards.items()}
    standpoint = Standpoint(Locality("eu", "a"), here, CLUSTERS[0])
    there = {(each.network, each.cluster) for each in everyone}
    placement = Placement(setting, fails_over=True, here=standpoint.locality)
    by = ways(known, standpoint, there)
    return ClusterLoadAssignment.FromString(
        Assignments().body("name", whole, Selection("http"), placement, by)
    )


def told(assignment):
    return [
        (group, one, one.endpoint.address.socket_address.address)
        for group in assignment.endpoints
        for one in group.lb_endpoints
    ]


def reached(everyone, known, here):
    """What is reached, by hand: directly, and in the way of each that is not."""
    alive = [each for each in everyone if each.health is not Health.UNHEALTHY]
    ways_of = {each: known.reach(here, each) for each in alive}
    direct = [each for each, way in ways_of.items() if isinstance(way, Direct)]
    behind = [
        each
        for each, way in ways_of.items()
        if not isinstance(way, Direct | Unreachable) and each.health is Health.HEALTHY
    ]
    return direct, behind


@settings(max_examples=300, deadline=None)
@given(meshes, networks, st.sampled_from(NETWORKS))
def test_what_a_proxy_sees_weighs_what_the_endpoints_do(everyone, known, here):
    direct, behind = reached(everyone, known, here)
    found = told(seen(everyone, known, here))
    total = sum(one.load_balancing_weight.value for _, one, _ in found)
    whole = sum(each.weight for each in [*direct, *behind])
    assert (total == 0) == (whole == 0)
    if whole:
        assert total % whole == 0
        times = total // whole
        own = Counter({address: one.load_balancing_weight.value for _, one, address in found})
        assert all(own[each.address] == times * each.weight for each in direct)


@settings(max_examples=300, deadline=None)
@given(meshes, networks, st.sampled_from(NETWORKS), st.sampled_from(SETTINGS))
def test_each_address_is_told_once_and_nothing_that_is_out_of_reach(everyone, known, here, setting):
    direct, behind = reached(everyone, known, here)
    addresses = [address for _, _, address in told(seen(everyone, known, here, setting))]
    assert len(set(addresses)) == len(addresses)
    pods = {each.address for each in everyone}
    assert {each for each in addresses if each in pods} == {each.address for each in direct}
    doors = {door.address for each in behind for door in known.reach(here, each).gateways}
    assert {each for each in addresses if each not in pods} <= doors
    assert bool(behind) == any(each not in pods for each in addresses)


@settings(max_examples=300, deadline=None)
@given(meshes, networks, st.sampled_from(NETWORKS))
def test_a_locality_weighs_what_is_told_in_it_and_priorities_have_no_gaps(everyone, known, here):
    found = seen(everyone, known, here)
    for group in found.endpoints:
        own = sum(one.load_balancing_weight.value for one in group.lb_endpoints)
        assert group.load_balancing_weight.value == own > 0
    priorities = {group.priority for group in found.endpoints}
    assert priorities == set(range(len(priorities)))


@settings(max_examples=300, deadline=None)
@given(meshes, networks, st.sampled_from(NETWORKS))
def test_localities_get_the_shares_of_a_rule_through_gateways_too(everyone, known, here):
    direct, behind = reached(everyone, known, here)
    shares = {"eu/a": 70, "us": 30}
    found = [key for key in shares if any(str(each.locality).startswith(key) for each in [*direct, *behind])]
    first = [group for group in seen(everyone, known, here, SETTINGS[2]).endpoints if group.priority == 0]
    if found:
        # What each locality gets is rounded up, and so is what each gateway in it gets.
        total = sum(group.load_balancing_weight.value for group in first)
        assert abs(total - sum(shares[key] for key in found)) <= 2 * len(LOCALITIES)
