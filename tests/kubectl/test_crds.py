from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.kubectl

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ferries.boats.example}
spec:
  group: boats.example
  scope: Namespaced
  names: {plural: ferries, kind: Ferry, shortNames: [fy], categories: [all]}
  versions:
  - name: v1alpha1
    served: true
    storage: false
    schema: &schema
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            description: what the ferry is for
            type: object
            required: [cars]
            properties:
              cars: {type: integer, minimum: 1, description: how many cars fit}
              ports: {type: array, items: {type: string}}
              speed: {type: string, default: slow, enum: [slow, fast]}
              draught: {x-kubernetes-int-or-string: true}
              notes: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status: {type: object, properties: {cars: {type: integer}}}
  - name: v1
    served: true
    storage: true
    schema: *schema
    subresources: {status: {}, scale: {specReplicasPath: .spec.cars, statusReplicasPath: .status.cars}}
    additionalPrinterColumns:
    - {name: Cars, type: integer, jsonPath: .spec.cars}
    - {name: Ports, type: string, jsonPath: .spec.ports}
"""
FERRY = """
apiVersion: boats.example/v1
kind: Ferry
metadata: {name: skye}
spec: {cars: 30, ports: [kyle, skye], draught: 2m, notes: {built: 1960}}
"""


@pytest.fixture
async def defined(kubectl):
    await kubectl("apply", "-f", "-", stdin=CRD)
    await kubectl("wait", "--for=condition=established", "crd/ferries.boats.example", "--timeout=20s")
    return kubectl


async def test_a_custom_type_is_served_with_its_columns_and_defaults(defined):
    await defined("apply", "-f", "-", stdin=FERRY)
    assert (await defined("get", "fy")).splitlines() == [
        "NAME   CARS   PORTS",
        'skye   30     ["kyle","skye"]',
    ]
    spec = json.loads(await defined("get", "ferry", "skye", "-o", "json"))["spec"]
    assert spec["speed"] == "slow"
    assert spec["notes"] == {"built": 1960}
    assert "ferry.boats.example/skye" in await defined("get", "all")


async def test_a_custom_object_is_the_same_in_all_versions(defined):
    await defined("apply", "-f", "-", stdin=FERRY)
    old = json.loads(await defined("get", "ferries.v1alpha1.boats.example", "skye", "-o", "json"))
    assert old["apiVersion"] == "boats.example/v1alpha1"
    assert old["spec"]["cars"] == 30


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("cars: 0", "should be greater than or equal to 1"),
        ("cars: 3, speed: idle", 'supported values: "slow", "fast"'),
        ("cars: 3, draught: [1]", "spec.draught"),
    ],
)
async def test_a_custom_object_against_its_schema_is_refused(defined, wrong, words):
    wrong_ferry = FERRY.replace("cars: 30, ", "").replace("draught: 2m", wrong)
    ran = await defined.run("apply", "--validate=false", "-f", "-", stdin=wrong_ferry)
    assert ran.code == 1
    assert words in ran.err


async def test_an_unknown_field_is_refused_by_default(defined):
    ran = await defined.run("apply", "-f", "-", stdin=FERRY.replace("cars: 30", "cars: 30, trucks: 1"))
    assert ran.code == 1
    assert "unknown field" in ran.err
    assert "trucks" in ran.err


async def test_a_custom_type_can_be_explained_scaled_and_changed(defined):
    await defined("apply", "-f", "-", stdin=FERRY)
    assert "how many cars fit" in await defined("explain", "ferry.spec.cars")
    await defined("scale", "ferry", "skye", "--replicas=12")
    await defined("patch", "ferry", "skye", "--type=merge", "-p", '{"spec":{"speed":"fast"}}')
    shown = await defined("get", "ferry", "skye", "-o", "jsonpath={.spec.cars} {.spec.speed}")
    assert shown == "12 fast"


async def test_a_definition_takes_its_objects_with_it(defined):
    await defined("apply", "-f", "-", stdin=FERRY)
    await defined("delete", "crd", "ferries.boats.example")
    ran = await defined.run("get", "--raw", "/apis/boats.example/v1/namespaces/default/ferries")
    assert ran.code == 1
    await defined("apply", "-f", "-", stdin=CRD)
    await defined("wait", "--for=condition=established", "crd/ferries.boats.example", "--timeout=20s")
    raw = await defined("get", "--raw", "/apis/boats.example/v1/namespaces/default/ferries")
    assert json.loads(raw)["items"] == []
