"""`isthmus ca deny` in all clusters: the list for each Citadel, and the policy for all proxies."""

import pytest
import yaml

from fakes.rotated_clusters import SYSTEM, FakeClusters
from isthmus.ca.denied import CONFIG_MAP, KEY, Denial, read
from isthmus.ca.founding import Founding, found
from isthmus.console.denying import allow, denied_in, deny, policy

ONE, OTHER = (
    Denial(identity=f"spiffe://cluster.local/ns/default/sa/{name}", since=1.0, reason="lost")
    for name in ("one", "other")
)


@pytest.fixture
def clusters(tmp_path):
    found(tmp_path, Founding(clusters=("east", "west")), 1_800_000_000.0)
    return FakeClusters(tmp_path)


def lists(clusters):
    return [read(each.objects["ConfigMap", SYSTEM, CONFIG_MAP]["data"][KEY]) for each in clusters.all]


async def test_every_cluster_has_the_list_and_that_of_the_configuration_the_policy(clusters):
    assert await deny(clusters.reached(), [ONE]) == (ONE,)
    assert await deny(clusters.reached(), [OTHER]) == (ONE, OTHER)
    assert lists(clusters) == [(ONE, OTHER)] * 2
    key = ("AuthorizationPolicy", SYSTEM, CONFIG_MAP)
    assert clusters.east.objects[key]["data"] == policy([OTHER, ONE], SYSTEM)["spec"]
    assert key not in clusters.west.objects
    assert await allow(clusters.reached(), [ONE.identity]) == (OTHER,)
    assert await allow(clusters.reached(), [OTHER.identity]) == ()
    assert lists(clusters) == [(), ()]
    assert key not in clusters.east.objects
    with pytest.raises(LookupError, match="sa/one is not denied"):
        await allow(clusters.reached(), [ONE.identity])


async def test_a_denial_that_is_given_again_has_the_newest_reason(clusters):
    again = Denial(identity=ONE.identity, since=2.0, reason="found and lost again")
    await deny(clusters.reached(), [ONE])
    assert await deny(clusters.reached(), [again]) == (again,)
    assert await denied_in(clusters.reached().config) == (again,)


def test_the_policy_is_one_that_istio_has():
    made = yaml.safe_load(yaml.safe_dump(policy([ONE], SYSTEM)))
    assert made["spec"]["rules"] == [
        {"from": [{"source": {"principals": ["cluster.local/ns/default/sa/one"]}}]}
    ]
    assert made["apiVersion"] == "security.istio.io/v1"
