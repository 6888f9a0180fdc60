from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.lab.apiserver.errors import ApiError
from isthmus.lab.apiserver.selectors import labels_match, selector


def passes(labels="", fields="", **have):
    obj = {"metadata": {"name": "web", "namespace": "shop", "labels": have}, "status": {"phase": "Running"}}
    return selector(labels, fields)(obj)


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=shop", False),
        ("app!=shop", True),
        ("app!=web", False),
        ("missing!=anything", True),
        ("missing=", False),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("missing", False),
        ("app in (web, shop)", True),
        ("app in (shop)", False),
        ("app notin (shop)", True),
        ("missing notin (shop)", True),
        ("missing in (shop)", False),
        ("app=web,tier in (front,back),!missing", True),
        ("app=web,tier in (back)", False),
        ("kubernetes.io/role=x", False),
    ],
)
def test_a_label_selector_passes_as_kubernetes_documents_it(text, passing):
    assert passes(text, app="web", tier="front") is passing


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("metadata.name=web", True),
        ("metadata.name!=web", False),
        ("metadata.namespace=shop,status.phase=Running", True),
        ("status.phase!=Running", False),
        ("spec.nodeName=", True),
        ("spec.nodeName=n1", False),
    ],
)
def test_a_field_selector_compares_text_and_absent_fields_are_empty(text, passing):
    assert passes(fields=text) is passing


def test_booleans_are_compared_as_kubernetes_writes_them():
    assert selector("", "spec.unschedulable=false")({"spec": {"unschedulable": False}})


@pytest.mark.parametrize("text", ["app in web", "=web", "a b c", "app=(x)", "app in (web"])
def test_a_label_selector_that_cannot_be_read_is_refused(text):
    with pytest.raises(ApiError) as refused:
        selector(text, "")
    assert refused.value.code == 400


def test_a_field_selector_that_cannot_be_read_is_refused():
    with pytest.raises(ApiError) as refused:
        selector("", "metadata.name in (a)")
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "shop"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_a_label_selector_object_matches_all_its_parts_or_not(wanted, passing):
    assert labels_match(wanted, {"app": "web"}) is passing


KEYS, VALUES = st.sampled_from(["a", "b", "c"]), st.sampled_from(["x", "y", "z"])


@given(st.dictionaries(KEYS, VALUES), KEYS, st.lists(VALUES, min_size=1))
def test_in_and_notin_are_opposites(labels, key, values):
    listed = ", ".join(values)
    inside = passes(f"{key} in ({listed})", **labels)
    assert inside is not passes(f"{key} notin ({listed})", **labels)
    assert inside is labels_match(
        {"matchExpressions": [{"key": key, "operator": "In", "values": values}]}, labels
    )


@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES))
def test_an_equality_selector_is_being_a_subset(wanted, labels):
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    assert passes(text, **labels) is (wanted.items() <= labels.items())
