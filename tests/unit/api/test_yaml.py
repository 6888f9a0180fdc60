from __future__ import annotations

import pytest

from isthmus.api.errors import InvalidConfig
from isthmus.api.yaml import documents


def values(text):
    return [document.value for document in documents(text)]


def test_dates_stay_text_as_in_kubectl():
    assert values("a: 2020-01-01\nb: 2020-01-01T00:00:00Z") == [
        {"a": "2020-01-01", "b": "2020-01-01T00:00:00Z"}
    ]


def test_a_date_that_is_none_is_text_too():
    assert values("a: 2020-99-99") == [{"a": "2020-99-99"}]


def test_empty_documents_are_left_out():
    assert values("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_each_document_knows_its_line():
    assert [document.line for document in documents("a: 1\n---\n\nb: 2\n")] == [1, 4]


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "{a: 1", "? [a]: b\n  c"])
def test_what_is_no_yaml_is_told(text):
    with pytest.raises(InvalidConfig, match="is not YAML"):
        values(text)


def test_documents_before_a_wrong_one_are_given():
    found = documents("a: 1\n---\nb: [")
    assert next(found).value == {"a": 1}
    with pytest.raises(InvalidConfig):
        next(found)
