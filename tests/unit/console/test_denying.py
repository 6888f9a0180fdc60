"""`isthmus ca deny` in all clusters: the list for each Citadel, and the policy for all proxies."""

import pytest
import yaml

from fakes.live_cluster import live_cluster
from fakes.rotated_clusters import SYSTEM, FakeClusters
from isthmus.ca.denied import CONFIG_MAP, KEY, Denial, read
from isthmus.ca.founding import Founding, found
from isthmus.console.denying import allow, denied_in, deny, policy, user_of
from isthmus.kube.client import Client
from isthmus.kube.kubeconfig import from_file

ONE, OTHER = (
    Denial(identity=f"spiffe://cluster.local/ns/default/sa/{name}", since=1.0, reason="lost")
    for name in ("one", "other")
)
STOLEN = Denial(
    identity=ONE.identity, since=1.0, reason="read", by="ann", serial="7f", sha256="ab" * 32, until=60.0
)


@pytest.fixture
def clusters(tmp_path):
    found(tmp_path, Founding(clusters=("east", "west")), 1_800_000_000.0)
    return FakeClusters(tmp_path)


def lists(clusters):
    return [read(each.objects["ConfigMap", SYSTEM, CONFIG_MAP]["data"][KEY]) for each in clusters.all]


async def test_every_cluster_has_the_list_and_that_of_the_configuration_the_policy(clusters):
    assert await deny(clusters.reached(), [ONE], 1.0) == (ONE,)
    assert await deny(clusters.reached(), [OTHER], 1.0) == (ONE, OTHER)
    assert lists(clusters) == [(ONE, OTHER)] * 2
    key = ("AuthorizationPolicy", SYSTEM, CONFIG_MAP)
    assert clusters.east.objects[key]["data"] == policy([OTHER, ONE], SYSTEM)["spec"]
    assert key not in clusters.west.objects
    assert await allow(clusters.reached(), [ONE.identity], 1.0) == (OTHER,)
    assert await allow(clusters.reached(), [OTHER.identity], 1.0) == ()
    assert lists(clusters) == [(), ()]
    assert key not in clusters.east.objects
    with pytest.raises(LookupError, match="sa/one is not denied"):
        await allow(clusters.reached(), [ONE.identity], 1.0)


async def test_a_denial_that_is_given_again_has_the_newest_reason(clusters):
    again = Denial(identity=ONE.identity, since=2.0, reason="found and lost again")
    await deny(clusters.reached(), [ONE], 1.0)
    assert await deny(clusters.reached(), [again], 1.0) == (again,)
    assert await denied_in(clusters.reached().config) == (again,)


def test_the_policy_is_one_that_istio_has():
    made = yaml.safe_load(yaml.safe_dump(policy([ONE], SYSTEM)))
    assert made["spec"]["rules"] == [
        {"from": [{"source": {"principals": ["cluster.local/ns/default/sa/one"]}}]}
    ]
    assert made["apiVersion"] == "security.istio.io/v1"


async def test_a_certificate_is_denied_beside_its_identity_and_goes_from_the_list_with_its_end(clusters):
    assert await deny(clusters.reached(), [STOLEN, OTHER], 50.0) == (STOLEN, OTHER)
    rules = clusters.east.objects["AuthorizationPolicy", SYSTEM, CONFIG_MAP]["data"]["rules"]
    assert rules[0] == {"from": [{"source": {"principals": ["cluster.local/ns/default/sa/other"]}}]}
    ((condition,),) = [each["when"] for each in rules[1:]]
    assert condition["key"] == "cel"
    assert f"in ['{STOLEN.sha256}']" in condition["values"][0]
    assert await deny(clusters.reached(), [ONE], 50.0) == (STOLEN, OTHER, ONE)
    assert await allow(clusters.reached(), [OTHER.identity], 60.0) == (ONE,)
    assert lists(clusters) == [(ONE,)] * 2
    with pytest.raises(LookupError, match="7f is not denied"):
        await allow(clusters.reached(), ["7f"], 60.0)


async def test_a_certificate_is_allowed_by_its_number(clusters):
    await deny(clusters.reached(), [STOLEN, ONE], 50.0)
    assert await allow(clusters.reached(), ["7f"], 50.0) == (ONE,)


async def test_who_denies_is_whom_the_api_server_knows(tmp_path):
    async with live_cluster(tmp_path) as cluster, Client(from_file(cluster.kubeconfig)) as client:
        assert await user_of(client) == "kubernetes-admin"
        await cluster.server.stop()
        assert await user_of(client) == ""
