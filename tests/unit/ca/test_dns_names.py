import pytest

from isthmus.ca.attest import Caller
from isthmus.ca.dns_names import DnsNames, parse_custom
from isthmus.model.identity import SpiffeId

NAMES = DnsNames(cluster="gke", custom={"hook.shop": ("hook.example",)})


def caller(account: str, namespace: str, cluster: str = "gke") -> Caller:
    return Caller(SpiffeId("corp.example", namespace, account), cluster)


def test_every_certificate_names_the_cluster_that_vouched():
    assert NAMES.of(caller("reviews", "default", "onprem")) == ("onprem.clusters.corp.example",)


def test_servers_of_the_control_plane_bear_the_names_of_their_services():
    pilot = caller("istio-pilot-service-account", "istio-system")
    pilots = (f"{name}.istio-system{end}" for name in ("istio-pilot", "istiod") for end in (".svc", ""))
    own = ("gke.clusters.corp.example", *pilots)
    assert NAMES.of(pilot) == own
    assert DnsNames(cluster="gke", append=False).of(pilot) == own[:1]
    assert NAMES.of(caller("istio-pilot-service-account", "default")) == own[:1]


def test_an_account_of_its_own_name_in_another_cluster_is_not_the_server():
    pilot = caller("istio-pilot-service-account", "istio-system", "onprem")
    assert NAMES.of(pilot) == ("onprem.clusters.corp.example",)
    assert NAMES.of(caller("hook", "shop", "onprem")) == ("onprem.clusters.corp.example",)


def test_the_operator_gives_further_names_to_accounts():
    assert NAMES.of(caller("hook", "shop")) == ("gke.clusters.corp.example", "hook.example")
    assert parse_custom("hook.shop:a.example, hook.shop:*.b.example,x.y:c") == {
        "hook.shop": ("a.example", "*.b.example"),
        "x.y": ("c",),
    }
    assert parse_custom("") == {}


@pytest.mark.parametrize(
    "text", ["hook:a.example", "hook.shop", "hook.shop:", "hook.shop:a b", "hook.shop:ä.example"]
)
def test_half_a_name_is_refused(text: str):
    with pytest.raises(ValueError, match=r"hint: account\.namespace:name"):
        parse_custom(text)
