"""The small parts of translation, each by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.api.errors import InvalidConfig, UnknownKind
from isthmus.api.istio.destination import PortSelector
from isthmus.api.istio.destination_rule import (
    ConnectionPoolSettings,
    DestinationRule,
    DestinationRuleSpec,
    HttpSettings,
    PortTrafficPolicy,
    Subset,
    TrafficPolicy,
)
from isthmus.api.istio.http_route import HTTPRetry
from isthmus.api.istio.load_balancer import LoadBalancerSettings
from isthmus.api.resource import Meta, Ref
from isthmus.envoy.types import Cluster, EnvoyLocality, RouteConfiguration, VirtualHost
from isthmus.model.names import Hostname, ServiceKey
from isthmus.translate import proto
from isthmus.translate.checked import Checked, Slot
from isthmus.translate.names import Direction, UpstreamName, inbound, outbound
from isthmus.translate.offline import read_case
from isthmus.translate.retries import retry_policy
from isthmus.translate.show import pruned
from isthmus.translate.upstream_policy import policy_for
from isthmus.translate.virtual_hosts import Host, Standing, without_repetition

# Names


def test_upstream_names_are_istios_in_both_forms():
    name = UpstreamName(Direction.OUTBOUND, 9080, "v1", Hostname("reviews.default.svc.cluster.local"))
    assert str(name) == "outbound|9080|v1|reviews.default.svc.cluster.local"
    assert name.sni == "outbound_.9080_.v1_.reviews.default.svc.cluster.local"
    assert inbound(9080) == "inbound|9080||"


@given(
    st.integers(0, 65535),
    st.sampled_from(["", "v1", "v-2"]),
    st.sampled_from(["a.b", "reviews.default.svc.x"]),
)
def test_names_are_read_back_as_they_were_written(port, subset, hostname):
    name = UpstreamName(Direction.OUTBOUND, port, subset, Hostname(hostname))
    assert UpstreamName.parse(str(name)) == name
    assert UpstreamName.parse(name.sni) == name
    assert str(name) == outbound(port, subset, hostname)


@pytest.mark.parametrize("text", ["", "PassthroughCluster", "outbound|x||h", "sideways|1||h", "outbound|1|h"])
def test_other_names_are_nobodys(text):
    assert UpstreamName.parse(text) is None


# Bytes


def test_bytes_joined_are_the_message_they_would_have_been():
    hosts = [VirtualHost(name=f"host {number}", domains=[str(number)]) for number in range(300)]
    whole = RouteConfiguration(name="x", virtual_hosts=hosts)
    parts = proto.body(RouteConfiguration(name="x")) + proto.joined(2, map(proto.body, hosts))
    assert RouteConfiguration.FromString(parts) == whole


@pytest.mark.parametrize("value, parts", [(0.25, (0, 250_000_000)), (90, (90, 0)), (1.5, (1, 500_000_000))])
def test_seconds_are_durations(value, parts):
    made = proto.seconds(value)
    assert (made.seconds, made.nanos) == parts


def test_a_packed_message_says_what_it_is():
    packed = proto.any_of(EnvoyLocality(region="eu"))
    assert packed.type_url == "type.googleapis.com/envoy.config.core.v3.Locality"


# Policies


def balanced(name):
    return LoadBalancerSettings(simple=name)


def rule(policy, *subsets):
    return DestinationRule(
        metadata=Meta(name="x"), spec=DestinationRuleSpec(host="x", traffic_policy=policy, subsets=subsets)
    )


POOL = ConnectionPoolSettings(http=HttpSettings(max_retries=3))


def test_a_subset_inherits_what_it_leaves_unset():
    subset = Subset(name="v1", traffic_policy=TrafficPolicy(load_balancer=balanced("RANDOM")))
    whole = rule(TrafficPolicy(load_balancer=balanced("ROUND_ROBIN"), connection_pool=POOL), subset)
    assert policy_for(whole, subset, 80).load_balancer == balanced("RANDOM")
    assert policy_for(whole, subset, 80).http.max_retries == 3
    assert policy_for(whole, None, 80).load_balancer == balanced("ROUND_ROBIN")


def test_the_policy_of_a_port_replaces_all_else():
    own = PortTrafficPolicy(port=PortSelector(number=80), load_balancer=balanced("RANDOM"))
    whole = rule(TrafficPolicy(connection_pool=POOL, port_level_settings=(own,)))
    assert policy_for(whole, None, 80).connection_pool is None
    assert policy_for(whole, None, 81).connection_pool == POOL


def test_without_a_rule_there_is_no_policy():
    assert policy_for(None, None, 80).load_balancer is None


# Retries


def test_by_default_a_request_is_tried_twice_more_elsewhere():
    policy = retry_policy(None, crosses=False, hashed=False)
    assert policy.num_retries.value == 2
    assert policy.retry_on.startswith("connect-failure,")
    assert [each.name for each in policy.retry_host_predicate] == [
        "envoy.retry_host_predicates.previous_hosts"
    ]
    assert not policy.HasField("retry_priority")


def test_across_clusters_the_last_try_leaves_the_nearest():
    assert retry_policy(None, crosses=True, hashed=False).HasField("retry_priority")
    asked = HTTPRetry(attempts=3, retry_remote_localities=False)
    assert not retry_policy(asked, crosses=True, hashed=False).HasField("retry_priority")


def test_no_attempts_are_no_retries():
    assert retry_policy(HTTPRetry(attempts=0), crosses=True, hashed=False) is None


def test_numbers_among_reasons_are_answers():
    policy = retry_policy(HTTPRetry(attempts=1, retry_on="5xx, 409,410"), crosses=False, hashed=True)
    assert (policy.retry_on, list(policy.retriable_status_codes)) == (
        "5xx,retriable-status-codes",
        [409, 410],
    )
    assert not policy.retry_host_predicate


# Domains


def host(name, *domains):
    return Host.of(VirtualHost(name=name, domains=domains))


def test_a_domain_belongs_to_the_first_that_claims_it():
    kept = without_repetition([host("a", "x", "y"), host("b", "y", "z"), host("c", "x"), host("d", "w")])
    assert [each.domains for each in kept] == [("x", "y"), ("z",), ("w",)]
    [second] = RouteConfiguration.FromString(kept[1].part.body).virtual_hosts
    assert list(second.domains) == ["z"]


HOSTS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True).map(
    lambda domains: host("".join(domains), *domains)
)
PLACE = st.lists(HOSTS, max_size=2).map(tuple)


@given(st.lists(PLACE, max_size=5), st.dictionaries(st.integers(0, 4), PLACE), PLACE)
def test_hosts_put_over_others_are_as_if_these_had_never_been_there(places, over, more):
    own = {place: hosts for place, hosts in over.items() if place < len(places)}
    meant = [*(own.get(place, hosts) for place, hosts in enumerate(places)), more]
    found = Standing(places).under(own, more)
    assert found == without_repetition([each for hosts in meant for each in hosts])


# What is withheld

OWNER = ServiceKey("default", Hostname("reviews.default.svc.cluster.local"))
ABOUT = Ref("Service", "default", "reviews")


def kept(checked, name, message):
    return checked.keep(Slot("a.Cluster", name, OWNER), ABOUT, lambda: message, lambda made: made.name)


def refused():
    raise ValueError("no such thing")


def test_the_last_good_one_of_a_slot_stays():
    checked = Checked()
    assert kept(checked, "one", Cluster(name="good")) == "good"
    assert kept(checked, "one", Cluster(name="")) == "good"
    assert kept(checked, "two", Cluster(name="")) is None
    assert checked.keep(Slot("a.Cluster", "one", OWNER), ABOUT, refused, str) == "good"
    messages = sorted(found.message for found in checked.findings(lambda _: True))
    assert messages == [
        "not sent to proxies: in Envoy's two, name must be at least 1 long",
        "not sent to proxies: no such thing",
    ]
    assert list(checked.findings(lambda _: False)) == []


def test_slots_are_forgotten_with_their_services():
    checked = Checked()
    for number in range(5000):
        kept(checked, str(number), Cluster(name=str(number)))
    checked.sweep([OWNER])
    assert kept(checked, "1", Cluster(name="")) == "1"
    for number in range(5000, 10_000):
        kept(checked, str(number), Cluster(name=str(number)))
    checked.sweep([])
    assert kept(checked, "1", Cluster(name="")) is None


# Cases


def test_a_case_says_where_it_is_wrong():
    with pytest.raises(InvalidConfig, match="line 3: Object contains unknown field"):
        read_case("---\n---\nkind: Case\nshown: {}\n")
    with pytest.raises(InvalidConfig, match=r"a Cluster needs metadata\.name"):
        read_case("kind: Cluster\n")
    with pytest.raises(UnknownKind):
        read_case("apiVersion: v1\nkind: Nonsense\n")


def test_an_object_that_is_wrong_is_a_finding_with_its_line():
    text = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {host: [x]}\n"
    )
    found = read_case(text).generation().mesh.findings
    assert [(each.path.partition(":")[0], each.ref.name) for each in found] == [("line 1", "x")]


def test_a_tree_is_pruned_to_the_paths():
    tree = {"a": [{"name": "one", "b": 1, "c": 2}, {"name": "two", "b": 3}], "d": {"e": 4, "f": 5}}
    assert pruned(tree, ["a/o*/b", "d/e"]) == {"a": [{"name": "one", "b": 1}], "d": {"e": 4}}
    assert pruned(tree, ["a"]) == {"a": tree["a"]}
