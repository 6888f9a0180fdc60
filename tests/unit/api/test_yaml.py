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


@pytest.mark.parametrize("text", ["a: !!int abc", "a: !!bool maybe", "a: 0b_", "a: " + "9" * 5000])
def test_a_value_that_is_not_what_it_seems_is_told(text):
    with pytest.raises(InvalidConfig, match="a value cannot be read"):
        values(text)


def test_what_is_called_a_date_is_text():
    assert values("a: !!timestamp x") == [{"a": "x"}]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000])
def test_nesting_that_would_overflow_the_parser_is_refused(text):
    with pytest.raises(InvalidConfig, match="nested deeper than 200 levels"):
        values(text)


def test_nesting_as_deep_as_any_object_is_read():
    (value,) = values("[" * 190 + "]" * 190)
    assert value


def test_aliases_that_unfold_without_end_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InvalidConfig, match="unfolds to more than"):
        values("\n".join(lines))
    with pytest.raises(InvalidConfig, match=r"\*x stands within what it stands for"):
        values("a: &x [*x]")


def test_aliases_are_what_they_stand_for():
    assert values("a: &x [1]\nb: *x\n---\na: &x {b: c}\nd: *x") == [
        {"a": [1], "b": [1]},
        {"a": {"b": "c"}, "d": {"b": "c"}},
    ]
