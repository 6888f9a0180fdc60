from __future__ import annotations

import msgspec
import pytest

from isthmus.lab.apiserver.builtin import builtin_types
from isthmus.lab.apiserver.documents import Documents
from isthmus.lab.apiserver.gnostic import decode_document
from isthmus.lab.apiserver.openapi_v2 import PROTOBUF
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.types import ResourceType

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList,application/json"
FERRY = ResourceType("boats.example", "v1", "Ferry", "ferries", "ferry", short_names=("fy",))
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"port": {"x-kubernetes-int-or-string": True}, "free": {"type": "object"}},
        }
    },
}


@pytest.fixture
def served():
    types, schemas = builtin_types(), Schemas()
    keys = {"/openid/v1/jwks": {"keys": []}}
    return types, schemas, Documents(types, schemas, "10.0.0.1:6443", keys.get)


def read(documents, path, accept=""):
    return msgspec.json.decode(documents.find(path, accept).body)


def test_groups_and_versions_are_told_the_old_way(served):
    *_, documents = served
    assert read(documents, "/api")["versions"] == ["v1"]
    groups = {each["name"]: each for each in read(documents, "/apis")["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert read(documents, "/apis/apps")["kind"] == "APIGroup"
    assert documents.find("/apis/boats.example") is None


def test_resources_and_their_parts_are_told_the_old_way(served):
    *_, documents = served
    listed = {each["name"]: each for each in read(documents, "/api/v1")["resources"]}
    assert listed["pods"]["shortNames"] == ["po"]
    assert listed["pods"]["categories"] == ["all"]
    assert listed["pods/log"]["verbs"] == ["get"]
    assert listed["serviceaccounts/token"]["kind"] == "TokenRequest"
    assert listed["namespaces"]["namespaced"] is False
    scale = {each["name"]: each for each in read(documents, "/apis/apps/v1")["resources"]}[
        "deployments/scale"
    ]
    assert (scale["group"], scale["version"], scale["kind"]) == ("autoscaling", "v1", "Scale")


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_all_is_told_at_once_to_those_who_ask(served, version):
    *_, documents = served
    answer = documents.find("/apis", AGGREGATED.format(version))
    assert f"v={version}" in answer.content_type
    said = msgspec.json.decode(answer.body)
    assert said["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    apps = next(each for each in said["items"] if each["metadata"]["name"] == "apps")
    deployments = next(r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments")
    assert deployments["responseKind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert {each["subresource"] for each in deployments["subresources"]} == {"status", "scale"}


def test_a_custom_type_is_told_from_its_adding_to_its_going(served):
    types, schemas, documents = served
    index = read(documents, "/openapi/v3")["paths"]
    types.add(FERRY)
    schemas.add(FERRY, SCHEMA)
    assert read(documents, "/apis/boats.example/v1")["resources"][0]["kind"] == "Ferry"
    grown = read(documents, "/openapi/v3")["paths"]
    assert set(grown) - set(index) == {"apis/boats.example/v1"}
    assert "example.boats.v1.Ferry" in read(documents, "/openapi/v2")["definitions"]
    types.remove("boats.example", "ferries")
    schemas.remove(FERRY)
    assert read(documents, "/openapi/v3")["paths"] == index


def test_a_changed_schema_changes_its_hash_only(served):
    types, schemas, documents = served
    types.add(FERRY)
    schemas.add(FERRY, SCHEMA)
    before = read(documents, "/openapi/v3")["paths"]
    schemas.add(FERRY, {"type": "object", "properties": {}})
    after = read(documents, "/openapi/v3")["paths"]
    assert {place for place in before if before[place] != after[place]} == {"apis/boats.example/v1"}


def test_openapi_v3_names_the_queries_that_kubectl_looks_for(served):
    *_, documents = served
    said = read(documents, "/openapi/v3/apis/apps/v1")
    patch = said["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"fieldValidation", "dryRun", "force"} <= {each["name"] for each in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {
        "group": "apps",
        "version": "v1",
        "kind": "Deployment",
    }


def test_every_reference_of_openapi_leads_somewhere(served):
    *_, documents = served

    def references(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref" and isinstance(value, str):
                    yield value
                yield from references(value)
        elif isinstance(node, list):
            for each in node:
                yield from references(each)

    v2 = read(documents, "/openapi/v2")
    assert {each.removeprefix("#/definitions/") for each in references(v2)} <= set(v2["definitions"])
    for place in read(documents, "/openapi/v3")["paths"]:
        v3 = read(documents, f"/openapi/v3/{place}")
        known = v3["components"]["schemas"]
        assert {each.removeprefix("#/components/schemas/") for each in references(v3)} <= set(known), place


def test_openapi_v2_is_the_same_in_protobuf(served):
    types, schemas, documents = served
    types.add(FERRY)
    schemas.add(FERRY, SCHEMA)
    answer = documents.find("/openapi/v2", f"{PROTOBUF}, */*;q=0.1")
    assert "@" not in answer.content_type
    document = decode_document(answer.body)
    plain = read(documents, "/openapi/v2")
    named = {each.name: each.value for each in document.definitions.additional_properties}
    assert set(named) == set(plain["definitions"])
    containers = next(
        each.value
        for each in named["io.k8s.api.core.v1.PodSpec"].properties.additional_properties
        if each.name == "containers"
    )
    extensions = {each.name: msgspec.yaml.decode(each.value.yaml) for each in containers.vendor_extension}
    assert extensions["x-kubernetes-patch-merge-key"] == "name"
    assert list(containers.type.value) == ["array"]
    assert containers.items.schema[0]._ref == "#/definitions/io.k8s.api.core.v1.Container"
    assert {each.name for each in document.paths.path} == set(plain["paths"])


def test_other_documents_are_found_by_path(served):
    *_, documents = served
    assert read(documents, "/version")["minor"] == "34"
    assert read(documents, "/openid/v1/jwks") == {"keys": []}
    assert documents.find("/nothing") is None
    assert documents.find("/openapi/v3/apis/none/v1") is None
