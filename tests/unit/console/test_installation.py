from __future__ import annotations

import json

import msgspec
import pytest
import yaml

from fakes.live_cluster import live_cluster
from isthmus.console.install.roles import ROLES
from isthmus.console.installation import Installation, InvalidInstallation, documents, dump
from isthmus.sidecar.inject.settings import read_settings

SYSTEM = "istio-system"
EAST = Installation(cluster="east", network="cloud", access_log="/dev/stdout", clusters_dir="/clusters")
APART = msgspec.structs.replace(EAST, layout="apart")
WEST = Installation(cluster="west", pilot_addresses=("10.0.0.9",), domain="corp.example")


@pytest.fixture
async def cluster(tmp_path, api_server):
    async with live_cluster(tmp_path) as served:
        yield served


async def test_the_primary_is_taken_by_an_api_server_twice(cluster):
    for _ in range(2):
        await cluster.apply(*yaml.safe_load_all(dump(documents("primary", EAST))))
    pilot = await cluster.find("deployments", SYSTEM, "istiod", "apps")
    assert "/clusters" in json.dumps(pilot)
    mesh = await cluster.find("configmaps", SYSTEM, "istio")
    assert yaml.safe_load(mesh["data"]["mesh"])["accessLogFile"] == "/dev/stdout"
    assert await cluster.find("services", SYSTEM, "istio-citadel")
    assert await cluster.serves("virtualservices", "networking.istio.io")


async def test_a_remote_is_taken_by_an_api_server(cluster):
    await cluster.apply(*documents("remote", WEST))
    assert await cluster.find("deployments", SYSTEM, "istio-pilot", "apps") is None
    pilot = await cluster.find("services", SYSTEM, "istio-pilot")
    assert pilot["spec"]["clusterIP"] == "None"
    assert "selector" not in pilot["spec"]
    (subset,) = (await cluster.find("endpoints", SYSTEM, "istio-pilot"))["subsets"]
    assert subset["addresses"] == [{"ip": "10.0.0.9"}]
    assert not await cluster.serves("virtualservices", "networking.istio.io")


async def test_a_gateway_is_taken_by_an_api_server_with_its_envoy(cluster):
    await cluster.apply(*documents("primary", EAST), *documents("gateway", EAST))
    name = documents("gateway", EAST)[-1]["metadata"]["name"]
    gateway = await cluster.find("deployments", SYSTEM, name, "apps")
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    assert container["image"] == EAST.image
    assert container["name"] == "istio-proxy"


@pytest.mark.parametrize(
    ("role", "changes", "said"),
    [
        ("primary", {"cluster": "a b: c"}, "^cluster: cannot be 'a b: c'"),
        ("primary", {"cluster": ""}, "^cluster: is missing"),
        ("primary", {"namespace": "1234"}, "^namespace: cannot be '1234'"),
        ("primary", {"image": "a\nb"}, "^image: cannot be"),
        ("primary", {"access_log": 'x"y'}, "^accessLog: cannot be"),
        ("primary", {"clusters_dir": "/a, type: File"}, "^clustersDir: cannot be"),
        ("remote", {"pilot_addresses": ("pilot.example",)}, r"'pilot.example' is no IP address \(hint: "),
    ],
)
def test_what_cannot_be_installed_is_named_by_its_option(role, changes, said):
    with pytest.raises(InvalidInstallation, match=said):
        documents(role, Installation(**{"cluster": "east"} | changes))


@pytest.mark.parametrize("name", ["on", "1234", "1e3", "null"])
def test_a_name_that_yaml_takes_for_something_else_stays_a_name(name):
    (found,) = (
        each
        for each in documents("remote", Installation(cluster=name, network=name))
        if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", "istio-sidecar-injector")
    )
    settings = read_settings(found["data"]["values"])
    assert (settings.cluster, settings.network) == (name, name)


@pytest.mark.parametrize("role", list(ROLES))
def test_nothing_is_left_to_be_filled_in(role):
    assert "${" not in dump(documents(role, EAST))


def test_without_addresses_a_remote_has_no_endpoints():
    found = documents("remote", Installation(cluster="west"))
    assert not [each for each in found if each["kind"] == "Endpoints"]


EAST_WEST = Installation(cluster="west", network="west-net")


async def test_a_gateway_between_networks_is_taken_by_an_api_server(cluster):
    for role, choices in (("primary", EAST), ("eastwest", EAST_WEST), ("networks", EAST_WEST)):
        await cluster.apply(*documents(role, choices))
    service = await cluster.find("services", SYSTEM, "istio-eastwestgateway")
    assert service["metadata"]["labels"]["topology.istio.io/network"] == "west-net"
    assert {port["port"] for port in service["spec"]["ports"]} == {15021, 15443, 15012}
    deployment = await cluster.find("deployments", SYSTEM, "istio-eastwestgateway", "apps")
    assert "west-net" in json.dumps(deployment["spec"]["template"]["spec"])
    assert await cluster.find("gateways", SYSTEM, "cross-network-gateway", "networking.istio.io")


def test_a_gateway_between_networks_needs_to_know_its_own():
    with pytest.raises(InvalidInstallation, match="--network: is missing"):
        documents("eastwest", WEST)


def test_the_network_of_a_cluster_is_said_by_its_namespace():
    (namespace, *_) = [each for each in documents("remote", EAST_WEST) if each["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["topology.istio.io/network"] == "west-net"
    (namespace, *_) = [each for each in documents("remote", WEST) if each["kind"] == "Namespace"]
    assert "topology.istio.io/network" not in namespace["metadata"]["labels"]


def citadel_of(role, **choices):
    """The container and the volumes of Citadel, and the names of the Roles that come with it."""
    found = documents(role, Installation(cluster="gke", layout="apart", **choices))
    (deployment,) = [
        each for each in found if (each["kind"], each["metadata"]["name"]) == ("Deployment", "istio-citadel")
    ]
    pod = deployment["spec"]["template"]["spec"]
    roles = {each["metadata"]["name"] for each in found if each["kind"] == "Role"}
    return pod["containers"][0]["args"], {each["name"]: each["secret"] for each in pod["volumes"]}, roles


@pytest.mark.parametrize(
    ("role", "choices", "argument", "waits", "keeps"),
    [
        ("primary", {}, None, False, True),
        ("remote", {}, "--self-signed-ca=false", True, False),
        ("remote", {"ca": "either"}, None, False, True),
        ("primary", {"ca": "self-signed"}, "--self-signed-ca=true", False, True),
        ("primary", {"ca": "plugged-in"}, "--self-signed-ca=false", True, False),
    ],
)
def test_citadel_may_keep_a_root_only_where_it_may_make_one(role, choices, argument, waits, keeps):
    arguments, volumes, roles = citadel_of(role, **choices)
    assert [each for each in arguments if "self-signed" in each] == ([argument] if argument else [])
    assert volumes["cacerts"].get("optional", False) is not waits
    assert ("istio-citadel-own-root" in roles) is keeps


def test_the_port_for_renewals_is_open_only_where_it_is_wished():
    assert not any("renewal" in each for each in citadel_of("primary")[0])
    assert "--renewal-port=8061" in citadel_of("primary", renewals=True)[0]
    objects = documents("primary", Installation(cluster="gke", renewals=True))
    (service,) = (
        each for each in objects if (each["kind"], each["metadata"]["name"]) == ("Service", "istio-citadel")
    )
    assert [port["port"] for port in service["spec"]["ports"]] == [8060, 15014, 8061]


def test_citadel_is_told_for_whom_clusters_vouch():
    arguments, volumes, _ = citadel_of("primary", vouched=("onprem=default,shop", "gke=*"))
    assert arguments[-2:] == ["--vouch=onprem=default,shop", "--vouch=gke=*"]
    assert volumes["clusters"] == {"secretName": "istio-citadel-clusters", "optional": True}


@pytest.mark.parametrize(
    ("choices", "said"),
    [({"vouched": ("x",)}, "^vouch: not a"), ({"account_secrets": ("*", "a")}, "accountSecrets: . stands")],
)
def test_a_choice_about_citadel_that_cannot_be_is_named(choices, said):
    with pytest.raises(InvalidInstallation, match=said):
        documents("primary", Installation(cluster="gke", **choices))


def rules_of_accounts(*account_secrets):
    found = documents("primary", Installation(cluster="gke", account_secrets=account_secrets))
    return {
        (each["kind"], each["metadata"].get("namespace", ""))
        for each in found
        if "account-secrets" in each["metadata"]["name"]
    }


def test_citadel_may_touch_secrets_of_accounts_only_where_it_is_to_keep_them():
    assert rules_of_accounts() == set()
    assert rules_of_accounts("*") == {("ClusterRole", ""), ("ClusterRoleBinding", "")}
    assert rules_of_accounts("shop", "web") == {
        (kind, namespace) for kind in ("Role", "RoleBinding") for namespace in ("shop", "web")
    }
    arguments = citadel_of("primary", account_secrets=("shop", "web"))[0]
    own = ["--account-secrets", "--listened-namespace=shop", "--listened-namespace=web"]
    assert arguments[-3:] == own
    for wrong in (("*", "shop"), ("Shop",)):
        with pytest.raises(InvalidInstallation, match=r"^accountSecrets"):
            documents("primary", Installation(cluster="gke", account_secrets=wrong))


@pytest.mark.parametrize("role", [each for each in ROLES if each != "eastwest"])
def test_one_file_of_settings_is_for_all_roles(role):
    said = msgspec.convert({"cluster": "east", "pilot": {"plainXds": True}}, Installation)
    documents(role, said)


NEXT = Installation(cluster="west", network="west-net", revision="canary", pilot_addresses=("10.0.0.1",))
SHARED = {"istio-issuer-keys", "isthmus-log-levels"}
"""ConfigMaps of the control plane as a whole, whatever revisions it has."""


def named(role, installation, kind):
    """The names of all objects of a kind."""
    found = documents(role, installation)
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


def test_a_revision_has_names_and_settings_of_its_own_in_remote_clusters():
    followed = {
        name
        for name, each in named("remote", NEXT, "Service").items()
        if "isthmus.io/follows" in each["metadata"]["labels"]
    }
    assert followed == {"istio-pilot-canary", "istiod-canary"}
    assert set(named("remote", NEXT, "Endpoints")) == {"istio-pilot-canary"}
    maps = named("remote", NEXT, "ConfigMap")
    assert set(maps) - SHARED == {"istio-canary", "istio-sidecar-injector-canary"}
    settings = read_settings(maps["istio-sidecar-injector-canary"]["data"]["values"])
    assert settings.revision == "canary", "pods are told so"
    assert settings.discovery_address == "istio-pilot-canary.istio-system.svc.cluster.local:15012"


def test_the_settings_of_the_mesh_are_those_of_one_revision():
    for role in ("primary", "remote"):
        stable, canary = (named(role, each, "ConfigMap") for each in (WEST, NEXT))
        assert "istio" in stable
        assert not set(stable) & set(canary) - SHARED


def test_proxies_of_a_revision_find_its_pilots_through_gateways_between_networks():
    gateway = named("networks", NEXT, "Gateway")["pilot-gateway-canary"]
    host = "istio-pilot-canary.istio-system.svc.cluster.local"
    assert [each["hosts"] for each in gateway["spec"]["servers"]] == [[host]]
    (rule,) = named("networks", NEXT, "VirtualService").values()
    assert rule["spec"]["gateways"] == ["pilot-gateway-canary"]
    assert rule["spec"]["tls"][0]["route"][0]["destination"]["host"] == host


def test_a_gateway_of_a_revision_asks_its_pilots():
    (deployment,) = named("gateway", NEXT, "Deployment").values()
    assert "istio-pilot-canary.istio-system.svc" in json.dumps(deployment)
    (stable,) = named("gateway", WEST, "Deployment").values()
    assert "canary" not in json.dumps(stable)
