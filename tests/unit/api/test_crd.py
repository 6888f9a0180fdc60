from __future__ import annotations

import json

import pytest

from fakes.live_cluster import live_cluster
from fakes.seeds import SEEDS
from isthmus.api import KINDS, kind_named
from isthmus.api.crd import custom_resource_definitions, gateway_api_definitions, is_ours, ours
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import NotFound, Refused

CRDS = [*custom_resource_definitions(), *gateway_api_definitions()]
BUILT_IN = {"ingresses.networking.k8s.io", "ingressclasses.networking.k8s.io"}


def levels(schema, path="$"):
    """Each part of a schema that is a schema itself, with its path."""
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from levels(each, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from levels(schema[key], f"{path}[]")


def schemas():
    return [
        (crd["metadata"]["name"], version["name"], version["schema"]["openAPIV3Schema"])
        for crd in CRDS
        for version in crd["spec"]["versions"]
    ]


def test_there_is_a_definition_for_each_kind_of_configuration():
    names = {crd["metadata"]["name"] for crd in CRDS}
    assert names == {f"{kind.plural}.{kind.group}" for kind in KINDS if kind.is_config} - BUILT_IN


@pytest.mark.parametrize(("name", "version", "schema"), schemas())
def test_schemas_are_structural(name, version, schema):
    assert "$ref" not in json.dumps(schema)
    for path, level in levels(schema):
        assert "type" in level or level.get("x-kubernetes-preserve-unknown-fields"), path
        assert not {"anyOf", "oneOf", "title", "default", "x-limits"} & level.keys(), path
        assert not ("properties" in level and "additionalProperties" in level), path


def test_one_version_of_each_is_stored():
    for crd in CRDS:
        assert sum(version["storage"] for version in crd["spec"]["versions"]) == 1


@pytest.fixture
async def client(tmp_path, api_server):
    async with live_cluster(tmp_path, CRDS) as cluster, Client(cluster.access) as opened:
        yield opened


def virtual_service(**spec):
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"hosts": ["reviews"], **spec},
    }


async def test_an_api_server_takes_the_definitions_and_what_fits_them(client):
    route = {"route": [{"destination": {"host": "reviews", "subset": "v1"}, "weight": 100}]}
    kind = kind_named("VirtualService")
    made = await client.create(kind, virtual_service(http=[route]))
    assert made["spec"]["http"] == [route]
    for version in kind.versions:
        path = f"/apis/networking.istio.io/{version}/namespaces/default/virtualservices/reviews"
        assert json.loads(await client.request("GET", path))["apiVersion"] == f"networking.istio.io/{version}"


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        (
            {"http": [{"route": [{"destination": {"host": "a"}, "weight": "5"}]}]},
            "spec.http[0].route[0].weight",
        ),
        ({"http": [{"route": [{"destination": {}}]}]}, "spec.http[0].route[0].destination.host"),
        (
            {"http": [{"route": [{"destination": {"host": "a"}, "weight": -5}]}]},
            "spec.http[0].route[0].weight",
        ),
    ],
)
async def test_an_api_server_refuses_what_does_not_fit(client, spec, where):
    with pytest.raises(Refused) as caught:
        await client.create(kind_named("VirtualService"), virtual_service(**spec))
    assert caught.value.code == 422
    assert where in str(caught.value)


async def test_an_api_server_refuses_unknown_fields_where_it_is_asked_to(client):
    kind = kind_named("VirtualService")
    with pytest.raises(Refused, match="retrys"):
        await client.request(
            "POST",
            path_of(kind, "default"),
            query={"fieldValidation": "Strict"},
            body=virtual_service(http=[{"retrys": {}}]),
        )
    with pytest.raises(NotFound):
        await client.get(kind, "default", "reviews")


@pytest.mark.timeout(240)
async def test_an_api_server_takes_all_samples_and_seeds(client):
    kinds = [
        kind for kind in SEEDS if f"{kind.plural}.{kind.group}" in {crd["metadata"]["name"] for crd in CRDS}
    ]
    taken = 0
    for kind in kinds:
        for document in SEEDS[kind]:
            if decodes(kind, document):
                body = document | {"apiVersion": kind.api_version}
                await client.request("POST", path_of(kind, "default"), query={"dryRun": "All"}, body=body)
                taken += 1
    assert taken > 100


def decodes(kind, document):
    try:
        return decode(kind, document)
    except InvalidConfig:
        return None


@pytest.mark.parametrize(
    ("plural", "shown"),
    [
        ("virtualservices", ["Gateways", "Hosts", "Age"]),
        ("destinationrules", ["Host", "Age"]),
        ("serviceentries", ["Hosts", "Location", "Resolution", "Age"]),
        ("workloadentries", ["Age", "Address"]),
        ("authorizationpolicies", ["Action", "Age"]),
        ("peerauthentications", ["Mode", "Age"]),
    ],
)
def test_kubectl_get_shows_what_it_shows_of_istios_own(plural, shown):
    crd = next(each for each in CRDS if each["spec"]["names"]["plural"] == plural)
    for version in crd["spec"]["versions"]:
        assert [each["name"] for each in version["additionalPrinterColumns"]] == shown


def test_what_others_put_there_is_left_to_them():
    wanted = CRDS[:3]
    istio = {"metadata": wanted[0]["metadata"] | {"labels": {"app": "istio-pilot", "release": "istio"}}}
    before = {"metadata": wanted[1]["metadata"] | {"labels": {"app": "istio-pilot"}}}
    assert ours(wanted, []) == wanted
    assert ours(wanted, [istio, before, wanted[2]]) == wanted[1:]
    assert not is_ours(istio)
    assert all(is_ours(each) for each in CRDS)
