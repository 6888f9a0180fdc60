from __future__ import annotations

import pytest

from isthmus.lab.apiserver.builtin import builtin, builtin_types
from isthmus.lab.apiserver.crds import CustomResources, converted, version_rank
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.tables import Tables
from isthmus.lab.apiserver.validation import Validation

DEFINITIONS = builtin("customresourcedefinitions", "apiextensions.k8s.io")


def definition(*versions, plural="ferries", kind="Ferry", group="boats.example"):
    listed = [
        {
            "name": name,
            "served": True,
            "storage": index == 0,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}},
            "subresources": {"status": {}},
        }
        for index, name in enumerate(versions)
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "shortNames": ["fy"]},
            "versions": listed,
        },
    }


@pytest.fixture
def served():
    types = builtin_types()
    return types, CustomResources(types, Schemas(), Tables())


def conditions(crd):
    return {each["type"]: each["status"] for each in crd["status"]["conditions"]}


def test_a_definition_is_established_and_served_newest_stable_version_first(served):
    types, custom = served
    crd = custom.with_status(definition("v1beta1", "v1", "v2alpha1"), 0.0)
    custom.serve(crd)
    assert conditions(crd) == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["storedVersions"] == ["v1beta1"]
    versions = [each.version for each in types.versions("boats.example", "ferries")]
    assert versions == ["v1", "v1beta1", "v2alpha1"]
    assert types.by_kind("boats.example/v1", "Ferry").subresources == {"status"}


def test_versions_sort_as_kubernetes_sorts_them():
    names = ["foo", "v1alpha1", "v2", "v11beta2", "v1", "v10", "v11beta10"]
    assert sorted(names, key=version_rank) == ["v10", "v2", "v1", "v11beta10", "v11beta2", "v1alpha1", "foo"]


def test_a_name_that_is_taken_is_not_accepted(served):
    types, custom = served
    custom.serve(custom.with_status(definition("v1"), 0.0))
    other = custom.with_status(definition("v1", plural="boats"), 0.0)
    custom.serve(other)
    assert conditions(other) == {"NamesAccepted": "False", "Established": "False"}
    assert types.preferred("boats.example", "boats") is None


def test_a_definition_serves_what_it_says_last_and_nothing_after_its_end(served):
    types, custom = served
    custom.serve(custom.with_status(definition("v1beta1", "v1"), 0.0))
    custom.serve(custom.with_status(definition("v1"), 1.0))
    assert [each.version for each in types.versions("boats.example", "ferries")] == ["v1"]
    gone = custom.withdraw(definition("v1"))
    assert [each.version for each in gone] == ["v1"]
    assert types.preferred("boats.example", "ferries") is None


def test_a_stored_version_is_remembered(served):
    _, custom = served
    crd = custom.with_status(definition("v1beta1", "v1"), 0.0)
    crd["spec"]["versions"].reverse()
    crd["spec"]["versions"][0]["storage"], crd["spec"]["versions"][1]["storage"] = True, False
    assert custom.with_status(crd, 5.0)["status"]["storedVersions"] == ["v1beta1", "v1"]


def test_a_condition_keeps_its_time_while_it_holds(served):
    _, custom = served
    crd = custom.with_status(definition("v1"), 0.0)
    assert custom.with_status(crd, 1000.0)["status"]["conditions"] == crd["status"]["conditions"]


def test_conversion_changes_the_version_only(served):
    types, custom = served
    custom.serve(custom.with_status(definition("v1beta1", "v1"), 0.0))
    obj = {"apiVersion": "boats.example/v1", "kind": "Ferry", "metadata": {"name": "a"}}
    old = types.find("boats.example", "v1beta1", "ferries")
    assert converted(obj, old) == {**obj, "apiVersion": "boats.example/v1beta1"}
    assert converted(obj, types.find("boats.example", "v1", "ferries")) is obj


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda crd: crd["metadata"].update(name="boats"), "metadata.name"),
        (lambda crd: crd["spec"].update(group="boats"), "spec.group"),
        (lambda crd: crd["spec"]["versions"][0].update(storage=False), "spec.versions"),
        (lambda crd: crd["spec"]["versions"][0].pop("schema"), "spec.versions[0].schema.openAPIV3Schema"),
        (lambda crd: crd["spec"].update(conversion={"strategy": "Webhook"}), "spec.conversion.strategy"),
        (
            lambda crd: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].update(x={}),
            "spec.versions[0].schema.openAPIV3Schema.properties[x].type",
        ),
    ],
)
def test_a_definition_against_the_rules_is_told_where(change, where):
    crd = definition("v1")
    change(crd)
    assert where in [cause.path for cause in Validation(Schemas()).validate(DEFINITIONS, crd)]


def test_a_definition_keeps_its_names():
    validation = Validation(Schemas())
    old, new = definition("v1"), definition("v1")
    new["spec"]["names"]["kind"] = "Boat"
    assert [cause.path for cause in validation.validate(DEFINITIONS, new, old)] == ["spec.names.kind"]
