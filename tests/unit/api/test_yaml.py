from __future__ import annotations

import pytest

from isthmus.api.errors import InvalidConfig
from isthmus.api.not_yaml import NotYaml
from isthmus.api.yaml import Document, Twice, documents, readable


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


def test_documents_after_a_wrong_one_are_read_as_well():
    text = "a: {b: 1\nc: 2\n---\nd: 4\n---\n\te: 3\n---\nf: 1\n"
    first, second, third, fourth = readable(text)
    assert (first.line, second, third.line, fourth) == (2, Document(4, {"d": 4}), 6, Document(8, {"f": 1}))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a:\n\tb: 1", 2, "indent with spaces, not with tabs"),
        ("a: @x", 1, "put the text in quotes"),
        ("a: x\nb: c: d", 2, "put a text that has a colon and a space in it in quotes"),
        ("a: {b: 1\nc: 2", 2, "flow mapping, which begins at line 1 .hint: close what is open"),
        ("x:\n  a: 1\n b: 2", 3, "begin what belongs together in one column"),
        ("a: 'x", 1, "close the quotes"),
        ('a: "\\q"', 1, "put it in single quotes"),
        ("a: 1\nb: *x", 2, r"\*x stands for nothing \(hint: write &x before\)"),
        ("a: 1\nb\0: 2", 2, "is it a text at all"),
        ("a: !Ref b", 1, "the tag !Ref is of nothing that manifests have"),
        ("a: !!map b", 1, "is of nothing that manifests have"),
        ("a: !set {b}", 1, "the tag !set is of nothing"),
        ("[a]: b", 1, "a key is a text"),
        ("a:\n  <<: 5", 3, "<< takes a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_the_mend(text, line, said):
    with pytest.raises(NotYaml, match=said) as caught:
        values(text)
    assert caught.value.line == line


def test_a_key_that_stands_twice_is_told_and_the_second_holds():
    (found,) = documents("a: 1\nb: {c: 2}\na: 3")
    assert (found.value, found.twice) == ({"a": 3, "b": {"c": 2}}, (Twice("a", 3),))


def test_what_is_merged_gives_way_to_what_is_written():
    merged = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {x: 0, <<: *a}"
    assert values(merged)[0]["c"] == {"x": 1, "y": 1, "z": 3}
    assert values(merged)[0]["d"] == {"x": 0, "y": 1}


def test_texts_are_what_kubectl_takes_them_for():
    text = "a: [on, 'on', 0x10, 22:22, 1.5, =, ~, <<, !!str 5, !!binary YQ==]"
    assert values(text)[0]["a"] == [True, "on", 16, "22:22", 1.5, "=", None, "<<", "5", b"a"]


def test_each_of_many_wrong_documents_is_told():
    found = list(readable("---\na: {b\n" * 3000))
    assert [each.line for each in found][:3] == [3, 5, 7]
    assert len(found) == 3000
