from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.objects_of import DEPLOYMENTS, PODS, SERVICES
from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.patches import (
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    merge,
    patched,
    read_body,
)
from isthmus.lab.apiserver.schema import Schemas

SCHEMAS = Schemas()


def pod_with(*containers, **spec):
    return {"spec": {"containers": [dict(each) for each in containers], **spec}}


def strategic(obj, patch, each=PODS):
    before, asked = copy.deepcopy(obj), copy.deepcopy(patch)
    after = patched(obj, patch, STRATEGIC_PATCH, SCHEMAS.of(each))
    assert (obj, patch) == (before, asked), "neither is changed"
    return after


WEB, LOG = {"name": "web", "image": "web:1"}, {"name": "log", "image": "log:1"}


def test_containers_merge_by_name():
    after = strategic(pod_with(WEB, LOG), pod_with({"name": "log", "image": "log:2"}, {"name": "new"}))
    assert after == pod_with(WEB, {"name": "log", "image": "log:2"}, {"name": "new"})


def test_an_item_is_deleted_by_its_key():
    after = strategic(pod_with(WEB, LOG), pod_with({"name": "web", "$patch": "delete"}))
    assert after == pod_with(LOG)


def test_a_list_is_replaced_whole_where_the_patch_says_so():
    after = strategic(pod_with(WEB, LOG), pod_with({"$patch": "replace"}, {"name": "only"}))
    assert after == pod_with({"name": "only"})


def test_a_map_is_replaced_or_deleted_by_its_directive():
    obj = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    after = strategic(obj, {"metadata": {"labels": {"$patch": "replace", "c": "3"}}})
    assert after["metadata"]["labels"] == {"c": "3"}
    assert "labels" not in strategic(obj, {"metadata": {"labels": {"$patch": "delete"}}})["metadata"]


def test_null_removes_a_field():
    obj = {"metadata": {"labels": {"a": "1", "b": "2"}}}
    assert strategic(obj, {"metadata": {"labels": {"a": None}}}) == {"metadata": {"labels": {"b": "2"}}}


def test_retained_keys_are_all_that_stays():
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    after = strategic({"spec": {"strategy": strategy}}, patch, DEPLOYMENTS)
    assert after["spec"]["strategy"] == {"type": "Recreate"}


def test_items_are_put_into_the_order_that_is_asked_for():
    patch = {"spec": {"$setElementOrder/containers": [{"name": "new"}, {"name": "log"}, {"name": "web"}]}}
    patch["spec"]["containers"] = [{"name": "new"}]
    assert strategic(pod_with(WEB, LOG), patch) == pod_with({"name": "new"}, LOG, WEB)


def test_primitives_merge_as_a_set_and_are_deleted_by_value():
    obj = {"metadata": {"finalizers": ["a", "b"]}}
    assert strategic(obj, {"metadata": {"finalizers": ["b", "c"]}})["metadata"]["finalizers"] == [
        "a",
        "b",
        "c",
    ]
    after = strategic(obj, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})
    assert after["metadata"]["finalizers"] == ["b"]


def test_lists_without_a_merge_strategy_are_replaced():
    obj = pod_with({**WEB, "args": ["a", "b"]})
    after = strategic(obj, pod_with({"name": "web", "args": ["c"]}))
    assert after["spec"]["containers"][0]["args"] == ["c"]


def test_service_ports_merge_by_port():
    obj = {"spec": {"ports": [{"port": 80, "name": "http"}, {"port": 443, "name": "https"}]}}
    after = strategic(obj, {"spec": {"ports": [{"port": 443, "targetPort": 8443}]}}, SERVICES)
    assert after["spec"]["ports"] == [
        {"port": 80, "name": "http"},
        {"port": 443, "name": "https", "targetPort": 8443},
    ]


def test_an_item_without_its_merge_key_is_refused():
    with pytest.raises(ApiError, match="merge key: name"):
        strategic(pod_with(WEB), pod_with({"image": "web:2"}))


def test_custom_resources_know_no_strategic_merge():
    with pytest.raises(ApiError) as refused:
        patched({}, {}, STRATEGIC_PATCH, None)
    assert refused.value.code == 415


def test_a_json_patch_does_what_it_lists_in_order():
    operations = [
        {"op": "test", "path": "/a", "value": 1},
        {"op": "replace", "path": "/a", "value": 2},
        {"op": "add", "path": "/list/-", "value": "z"},
        {"op": "remove", "path": "/b"},
    ]
    obj = {"a": 1, "b": 1, "list": ["x"]}
    assert patched(obj, operations, JSON_PATCH, None) == {"a": 2, "list": ["x", "z"]}
    assert obj == {"a": 1, "b": 1, "list": ["x"]}


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/missing"}],
        [{"op": "replace", "path": "/missing/deep", "value": 1}],
        [{"op": "jump", "path": "/a"}],
        {"op": "add", "path": "/a", "value": 1},
        [7],
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(operations):
    with pytest.raises(ApiError) as refused:
        patched({"a": 1}, operations, JSON_PATCH, None)
    assert refused.value.code in {400, 422}


@pytest.mark.parametrize("kind", [MERGE_PATCH, STRATEGIC_PATCH])
def test_a_merge_patch_that_is_no_object_is_refused(kind):
    with pytest.raises(ApiError) as refused:
        patched({"a": 1}, ["a"], kind, SCHEMAS.of(PODS))
    assert refused.value.code == 400


def test_an_unknown_kind_of_patch_is_refused():
    with pytest.raises(ApiError) as refused:
        patched({}, {}, "text/plain", SCHEMAS.of(PODS))
    assert refused.value.code == 415


@pytest.mark.parametrize("body", [b"{", b"\xff"])
def test_a_body_that_is_neither_json_nor_yaml_is_refused(body):
    with pytest.raises(ApiError) as refused:
        read_body(body, "application/json")
    assert refused.value.code == 400


def test_yaml_bodies_are_read():
    assert read_body(b"a: {b: 1}", "application/yaml") == {"a": {"b": 1}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_twice_is_a_merge_patch_once(obj, patch):
    once = patched(obj, patch, MERGE_PATCH, None)
    assert patched(once, patch, MERGE_PATCH, None) == once


@given(JSON, OBJECTS)
def test_a_merge_leaves_no_null_of_the_patch(target, patch):
    merged = merge(copy.deepcopy(target), patch)
    for key, value in patch.items():
        assert (key in merged) is (value is not None)
