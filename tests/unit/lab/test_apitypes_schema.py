from __future__ import annotations

import pytest

from isthmus.lab.apiserver.builtin import BUILTIN, builtin, builtin_types
from isthmus.lab.apiserver.definitions import definitions
from isthmus.lab.apiserver.schema import Schema, Schemas
from isthmus.lab.apiserver.types import ResourceType, Types

FERRY = ResourceType("boats.example", "v1", "Ferry", "ferries", "ferry")


@pytest.mark.parametrize("each", BUILTIN, ids=lambda each: each.resource)
def test_every_served_type_has_a_schema(each):
    assert Schemas().of(each) is not None


def test_a_type_is_found_by_its_names():
    types = builtin_types()
    found = types.find("apps", "v1", "deployments")
    assert found is not None
    assert (found.api_version, found.list_kind, found.resource) == (
        "apps/v1",
        "DeploymentList",
        "deployments.apps",
    )
    assert types.by_kind("v1", "Pod") is types.preferred("", "pods")
    assert types.find("apps", "v2", "deployments") is None


def test_the_first_version_added_is_preferred_and_all_go_together():
    old = ResourceType("boats.example", "v1beta1", "Ferry", "ferries", "ferry")
    types = Types([FERRY, old])
    assert types.preferred("boats.example", "ferries") is FERRY
    assert types.versions("boats.example", "ferries") == (FERRY, old)
    types.remove("boats.example", "ferries")
    assert types.all() == ()
    assert types.by_kind("boats.example/v1", "Ferry") is None


def test_a_cursor_follows_references_and_tells_how_lists_merge():
    spec = Schemas().of(builtin("deployments", "apps")).property("spec")
    containers = spec.property("template").property("spec").property("containers")
    assert containers.list_type == "map"
    assert containers.map_keys == ("name",)
    assert containers.patch_merge_key == "name"
    assert containers.patch_strategies == ("merge",)
    assert containers.items().property("ports").map_keys == ("containerPort", "protocol")
    assert spec.property("strategy").patch_strategies == ("retainKeys",)
    assert spec.property("selector").map_type == "atomic"


def test_a_cursor_leads_nowhere_where_nothing_is_known():
    schema = Schemas().of(builtin("configmaps"))
    assert schema.property("sorts") is None
    assert schema.property("data").property("key") is None
    assert schema.property("data").additional().type == "string"
    assert schema.property("data").child("key").type == "string"


def test_definitions_are_plain_openapi():
    def types_of(node):
        if isinstance(node, dict):
            yield from ([node["type"]] if "type" in node and "properties" not in node else [])
            for each in node.values():
                yield from types_of(each)

    assert all(not isinstance(kind, list) for kind in types_of(definitions()["io.k8s.api.core.v1.Pod"]))
    assert "enum" not in definitions()["io.k8s.api.core.v1.Pod"]["properties"]["kind"]


def test_a_custom_schema_gets_what_every_object_has():
    schemas = Schemas()
    schemas.add(FERRY, {"type": "object", "properties": {"spec": {"type": "object"}}})
    assert schemas.of(FERRY).property("metadata").property("labels").additional().type == "string"
    assert schemas.custom(FERRY) is schemas.of(FERRY)
    schemas.remove(FERRY)
    assert schemas.of(FERRY) is None


def test_what_stands_beside_a_reference_counts():
    reference = {"$ref": "#/definitions/io.k8s.api.core.v1.Pod", "x-kubernetes-map-type": "atomic"}
    schema = Schema(reference)
    assert schema.map_type == "atomic"
    assert schema.property("spec") is not None
