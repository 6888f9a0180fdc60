"""Rules in CEL that definitions make: the lab's API server and upstream's say the same of objects."""

from __future__ import annotations

import pytest

from fakes.eventually import eventually
from fakes.live_cluster import live_cluster
from isthmus.api.resource import Kind, Object
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Refused
from isthmus.lab.apiserver.cel_rules import fault

FERRY = Kind("boats.example", ("v1",), "Ferry", "ferries", Object)
RULES = {
    "x-kubernetes-validations": [
        {"rule": "self.cars <= self.metres * 2", "message": "too many cars", "fieldPath": ".cars"},
        {"rule": "!has(oldSelf.port) || self.port == oldSelf.port", "message": "the port stays"},
        {"rule": "self.cars != 13", "messageExpression": "self.cars == 13 ? 'no 13 cars' : 'what'"},
        {"rule": "!has(self.__namespace__) || self.__namespace__ != 'sea'", "reason": "FieldValueForbidden"},
        {"rule": "self.cars / self.metres >= 0"},
    ]
}
SPEC = {
    "type": "object",
    "required": ["cars", "metres"],
    **RULES,
    "properties": {
        "cars": {"type": "integer"},
        "metres": {"type": "integer"},
        "port": {"type": "string", "maxLength": 20},
        "namespace": {"type": "string", "maxLength": 20},
        "decks": {
            "type": "array",
            "maxItems": 5,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 20},
                    "height": {
                        "type": "integer",
                        "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "never lower"}],
                    },
                },
            },
        },
        "crew": {
            "type": "object",
            "maxProperties": 5,
            "additionalProperties": {
                "type": "integer",
                "x-kubernetes-validations": [{"rule": "self > 0", "message": "nobody"}],
            },
        },
    },
}


def definition(spec):
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "ferries.boats.example"},
        "spec": {
            "group": "boats.example",
            "scope": "Namespaced",
            "names": {"plural": "ferries", "kind": "Ferry", "singular": "ferry"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": spec},
                            "x-kubernetes-validations": [
                                {"rule": "self.metadata.name != 'titanic'", "message": "that one sank"}
                            ],
                        }
                    },
                }
            ],
        },
    }


def ferry(name="skye", **spec):
    return {
        "apiVersion": "boats.example/v1",
        "kind": "Ferry",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"cars": 10, "metres": 20, **spec},
    }


@pytest.fixture
async def client(tmp_path, api_server):
    async with live_cluster(tmp_path) as cluster, Client(cluster.access) as opened:
        await cluster.apply(definition(SPEC))
        await eventually(lambda: served(opened))
        yield opened


async def served(client):
    try:
        await client.request("GET", path_of(FERRY, "default"))
    except Refused:  # not yet, or not ready again
        return False
    return True


@pytest.mark.parametrize(
    ("ferry_", "where", "said"),
    [
        (ferry(cars=50), "spec.cars", "too many cars"),
        (ferry(cars=13), "spec", "no 13 cars"),
        (ferry(namespace="sea"), "spec: Forbidden", "failed rule: !has(self.__namespace__)"),
        (ferry(cars=0, metres=0), "spec", "evaluating rule: self.cars / self.metres >= 0"),
        (ferry(crew={"captain": 0}), "spec.crew[captain]", "nobody"),
        (ferry("titanic"), "titanic", "that one sank"),
    ],
)
async def test_a_rule_that_is_broken_is_told_with_its_place(client, ferry_, where, said):
    with pytest.raises(Refused) as caught:
        await client.create(FERRY, ferry_)
    assert caught.value.code == 422
    assert where in str(caught.value)
    assert said in str(caught.value)


async def test_what_keeps_the_rules_is_taken(client):
    made = await client.create(FERRY, ferry(crew={"captain": 1}, port="kyle", namespace="land"))
    assert made["spec"]["crew"] == {"captain": 1}


async def test_rules_of_the_old_value_hold_for_changes_alone(client):
    made = await client.create(FERRY, ferry(port="kyle", decks=[{"name": "a", "height": 3}, {"name": "b"}]))
    path = path_of(FERRY, "default", "skye")
    moved = made | {"spec": made["spec"] | {"port": "oban"}}
    with pytest.raises(Refused, match="the port stays"):
        await client.request("PUT", path, body=moved)
    lower = made | {
        "spec": made["spec"] | {"decks": [{"name": "b", "height": 1}, {"name": "a", "height": 2}]}
    }
    with pytest.raises(Refused, match="never lower"):
        await client.request("PUT", path, body=lower)
    higher = made | {
        "spec": made["spec"] | {"decks": [{"name": "b", "height": 1}, {"name": "a", "height": 4}]}
    }
    await client.request("PUT", path, body=higher)


async def test_objects_from_before_a_rule_can_be_changed_elsewhere(client):
    narrower = SPEC["properties"] | {"crew": {**SPEC["properties"]["crew"], **nobody_but("cook")}}
    made = await client.create(FERRY, ferry(crew={"captain": 1}))
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ferries.boats.example"
    patch = [
        {
            "op": "replace",
            "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties",
            "value": narrower,
        }
    ]
    await client.request("PATCH", crds, body=patch, content_type="application/json-patch+json")
    path = path_of(FERRY, "default", "skye")
    other = made | {"spec": made["spec"] | {"crew": {"mate": 1}}}
    await eventually(lambda: refused(client, path, other))
    await client.request("PUT", path, body=made | {"spec": made["spec"] | {"cars": 11}})


async def refused(client, path, body):
    try:
        await client.request("PUT", path, body=body, query={"dryRun": "All"})
    except Refused as why:
        return "nobody but a cook" in str(why)
    return False


def nobody_but(name):
    rule = {"rule": f"self.all(each, each == '{name}')", "message": f"nobody but a {name}"}
    return {"x-kubernetes-validations": [rule]}


@pytest.mark.parametrize("rule", ["self.cars <", "self.cars + ", "cars > 0"])
async def test_a_definition_whose_rule_is_none_is_refused(tmp_path, api_server, rule):
    async with live_cluster(tmp_path) as cluster, Client(cluster.access) as client:
        broken = definition(SPEC | {"x-kubernetes-validations": [{"rule": rule}]})
        with pytest.raises(Refused, match="compilation failed") as caught:
            await client.request(
                "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=broken
            )
        assert "properties[spec].x-kubernetes-validations[0].rule" in str(caught.value)


def test_what_is_not_known_here_is_said():
    assert "hint: CEL's own functions are known here" in fault({"rule": "isURL(self.port)"})
    assert "optionalOldSelf" in fault({"rule": "true", "optionalOldSelf": True})
    assert fault({"rule": "self.matches('^a')"}) == ""
