from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.lab.apiserver.builtin import builtin
from isthmus.lab.apiserver.causes import Cause
from isthmus.lab.apiserver.schema import Schema, Schemas
from isthmus.lab.apiserver.structure import broken, pruned, unknown_fields, with_defaults
from isthmus.lab.apiserver.validation import Validation

DEPLOYMENTS = builtin("deployments", "apps")
SERVICES, PODS, CONFIG_MAPS, SECRETS = (
    builtin("services"),
    builtin("pods"),
    builtin("configmaps"),
    builtin("secrets"),
)


@pytest.fixture
def validation():
    return Validation(Schemas())


def deployment():
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    }


def service(**spec):
    meta = {"name": "web", "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"ports": [{"port": 80}], **spec},
    }


def changed(obj, path, value):
    obj = copy.deepcopy(obj)
    *steps, last = path
    inner = obj
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return obj


def paths(causes):
    return [cause.path for cause in causes]


def test_what_kubernetes_accepts_is_accepted(validation):
    filled = validation.apply_defaults(DEPLOYMENTS, deployment())
    assert validation.validate(DEPLOYMENTS, filled) == []


def test_unknown_fields_are_told_by_path_and_pruned(validation):
    wrong = changed(deployment(), ("spec", "replicaz"), 1)
    wrong["spec"]["template"]["spec"]["containers"][0]["imag"] = "x"
    assert set(validation.unknown(DEPLOYMENTS, wrong)) == {
        "spec.template.spec.containers[0].imag",
        "spec.replicaz",
    }
    assert validation.prune(DEPLOYMENTS, wrong) == deployment()


def test_a_wrong_type_is_told_before_all_else(validation):
    wrong = changed(deployment(), ("spec", "replicas"), "two")
    assert validation.validate(DEPLOYMENTS, wrong) == [
        Cause(
            "spec.replicas",
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.replicas in body must be of type integer: "string"',
        )
    ]


def test_nulls_pass_in_kubernetes_own_types(validation):
    assert (
        validation.validate(DEPLOYMENTS, changed(deployment(), ("metadata", "creationTimestamp"), None)) == []
    )


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("metadata", "name"), "Web", "metadata.name"),
        (("metadata", "labels"), {"a b": "c"}, "metadata.labels"),
        (("metadata", "labels"), {"a": "c d"}, "metadata.labels"),
        (("spec", "selector", "matchLabels"), {"app": "other"}, "spec.template.metadata.labels"),
        (("spec", "replicas"), -1, "spec.replicas"),
        (("spec", "template", "spec", "containers"), [], "spec.template.spec.containers"),
        (
            ("spec", "template", "spec", "containers", 0, "image"),
            "",
            "spec.template.spec.containers[0].image",
        ),
        (("spec", "template", "spec", "restartPolicy"), "Never", "spec.template.spec.restartPolicy"),
        (
            ("spec", "template", "spec", "containers", 0, "volumeMounts"),
            [{"name": "none", "mountPath": "/x"}],
            "spec.template.spec.containers[0].volumeMounts[0].name",
        ),
    ],
)
def test_a_deployment_against_the_rules_is_told_where(validation, path, value, where):
    assert where in paths(validation.validate(DEPLOYMENTS, changed(deployment(), path, value)))


def test_a_selector_stays(validation):
    new = changed(deployment(), ("spec", "selector", "matchLabels"), {"app": "web", "tier": "1"})
    new["spec"]["template"]["metadata"]["labels"]["tier"] = "1"
    causes = validation.validate(DEPLOYMENTS, new, deployment())
    assert paths(causes) == ["spec.selector"]
    assert "field is immutable" in causes[0].message


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        ({"ports": []}, "spec.ports"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port"),
        ({"ports": [{"port": 80}, {"port": 81}]}, "spec.ports[0].name"),
        ({"ports": [{"name": "a", "port": 80}, {"name": "a", "port": 81}]}, "spec.ports[1].name"),
        ({"type": "Balanced"}, "spec.type"),
        ({"type": "ExternalName", "ports": []}, "spec.externalName"),
        ({"type": "NodePort", "clusterIP": "None"}, "spec.clusterIPs[0]"),
    ],
)
def test_a_service_against_the_rules_is_told_where(validation, spec, where):
    assert where in paths(validation.validate(SERVICES, service(**spec)))


def test_a_services_address_stays_once_given(validation):
    old = service(clusterIP="10.0.0.1")
    causes = validation.validate(SERVICES, service(clusterIP="10.0.0.2"), old)
    assert [cause.message for cause in causes] == ['Invalid value: ["10.0.0.2"]: may not change once set']
    assert validation.validate(SERVICES, service(clusterIP="10.0.0.1"), service()) == []


def test_a_service_name_must_fit_dns(validation):
    assert paths(validation.validate(SERVICES, changed(service(), ("metadata", "name"), "1web"))) == [
        "metadata.name"
    ]


def test_a_running_pods_command_stays_and_its_image_may_change(validation):
    spec = {"containers": [{"name": "a", "image": "a:1"}]}
    old = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": spec}
    image = changed(old, ("spec", "containers", 0, "image"), "a:2")
    command = changed(old, ("spec", "containers", 0, "command"), ["sh"])
    assert validation.validate(PODS, image, old) == []
    assert paths(validation.validate(PODS, command, old)) == ["spec"]


def test_what_is_immutable_stays(validation):
    old = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"k": "1"},
        "immutable": True,
    }
    assert paths(validation.validate(CONFIG_MAPS, changed(old, ("data",), {"k": "2"}), old)) == ["data"]


def test_keys_and_contents_of_secrets_are_checked(validation):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"k": "!"}}
    assert paths(validation.validate(SECRETS, secret)) == ["data[k]"]
    assert paths(validation.validate(SECRETS, {**secret, "data": {"a/b": "aaaa"}})) == ["data[a/b]"]
    assert validation.validate(SECRETS, {**secret, "data": {"k": "YWJj\nZGVm"}}) == []


FERRY = Schema(
    {
        "type": "object",
        "required": ["cars"],
        "properties": {
            "cars": {"type": "integer", "minimum": 1, "maximum": 99},
            "name": {
                "type": "string",
                "pattern": "^[a-z]+$",
                "minLength": 2,
                "maxLength": 5,
                "nullable": True,
            },
            "draught": {"x-kubernetes-int-or-string": True},
            "speed": {"type": "string", "enum": ["slow", "fast"], "default": "slow"},
            "stops": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object", "properties": {"at": {"type": "string"}, "wait": {"default": 5}}},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["at"],
            },
            "notes": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "pilot": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {}},
            "either": {
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                "type": "object",
                "properties": {"a": {}},
            },
        },
    }
)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({}, ["cars"]),
        ({"cars": 0}, ["cars"]),
        ({"cars": 100}, ["cars"]),
        ({"cars": True}, ["cars"]),
        ({"cars": 1.5}, ["cars"]),
        ({"cars": 2.0, "name": None}, []),
        ({"cars": None}, ["cars"]),
        ({"cars": 1, "name": "A1"}, ["name"]),
        ({"cars": 1, "name": "abcdef"}, ["name"]),
        ({"cars": 1, "speed": "idle"}, ["speed"]),
        ({"cars": 1, "draught": "2m"}, []),
        ({"cars": 1, "draught": []}, ["draught"]),
        ({"cars": 1, "stops": []}, ["stops"]),
        ({"cars": 1, "stops": [{"at": "a"}, {"at": "a"}]}, ["stops[1]"]),
        ({"cars": 1, "tags": {"a": 1}}, ["tags[a]"]),
        ({"cars": 1, "either": {"a": 1, "b": 1}}, ["either"]),
        ({"cars": 1, "either": {"b": 1}}, []),
        ({"cars": 1, "notes": {"any": [1, None]}}, []),
    ],
)
def test_a_custom_value_is_held_to_its_schema(value, where):
    assert paths(broken(FERRY, value)) == where


def test_a_custom_value_is_pruned_but_for_what_is_free():
    value = {
        "cars": 1,
        "sails": 2,
        "notes": {"x": {"y": 1}},
        "stops": [{"at": "a", "fog": 1}],
        "pilot": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "hat": 1}, "spec": {}},
    }
    assert set(unknown_fields(FERRY, value)) == {"sails", "stops[0].fog", "pilot.metadata.hat", "pilot.spec"}
    assert pruned(FERRY, value) == {
        "cars": 1,
        "notes": {"x": {"y": 1}},
        "stops": [{"at": "a"}],
        "pilot": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
    }


def test_defaults_fill_what_is_absent_or_null_at_every_depth():
    filled = with_defaults(FERRY, {"cars": 1, "speed": None, "stops": [{"at": "a"}, {"at": "b", "wait": 1}]})
    assert filled == {"cars": 1, "speed": "slow", "stops": [{"at": "a", "wait": 5}, {"at": "b", "wait": 1}]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cars", "stops", "at", "notes", "pilot", "metadata", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_what_is_pruned_has_nothing_unknown_left(value):
    assert list(unknown_fields(FERRY, pruned(FERRY, value))) == []


@given(JSON)
def test_defaults_come_once(value):
    once = with_defaults(FERRY, value)
    assert with_defaults(FERRY, once) == once


@given(st.dictionaries(st.sampled_from(["spec", "metadata", "data"]), JSON, max_size=3))
def test_no_object_breaks_the_validation(obj):
    for each in (DEPLOYMENTS, SERVICES, PODS, CONFIG_MAPS):
        validation = Validation(Schemas())
        shaped = validation.prune(each, {"apiVersion": each.api_version, "kind": each.kind, **obj})
        if not validation.check_structure(each, shaped):
            validation.validate(each, validation.apply_defaults(each, copy.deepcopy(shaped)))
