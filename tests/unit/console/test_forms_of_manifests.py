"""Manifests in every form that people hand over: lists, other encodings, what is no manifest at all."""

from __future__ import annotations

import codecs

import pytest
from click.testing import CliRunner

from isthmus.console.cli import main

TYPO = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  htpp: []
"""
LISTED = "apiVersion: v1\nkind: List\nitems:\n- 7\n" + TYPO.replace("\n", "\n  ").replace(
    "\n  api", "\n- api", 1
)


def told(tmp_path, raw, *words):
    path = tmp_path / "given.yaml"
    path.write_bytes(raw)
    ran = CliRunner().invoke(main, [*words, str(path)])
    assert not ran.exception or isinstance(ran.exception, SystemExit)
    return ran.exit_code, ran.output.replace(str(path), "given.yaml")


@pytest.mark.parametrize("words", [("validate", "-f"), ("analyze",)])
@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (TYPO.encode(), 7),
        (codecs.BOM_UTF8 + TYPO.encode(), 7),
        (TYPO.encode("utf-16"), 7),
        (LISTED.encode(), 11),
    ],
)
def test_what_is_wrong_is_told_with_its_line_in_any_form(tmp_path, words, raw, line):
    code, output = told(tmp_path, raw, *words)
    assert code == 79
    assert f"given.yaml:{line}: error [IST0106] VirtualService default/a: $.spec.htpp: is no field" in output


@pytest.mark.parametrize("words", [("validate", "-f"), ("analyze",)])
@pytest.mark.parametrize("raw", [b"\x00\x15\xef\x01", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_text_is_told_as_no_yaml(tmp_path, words, raw):
    code, output = told(tmp_path, raw, *words)
    assert (code, "given.yaml: $: is not YAML" in output) == (79, True)


@pytest.mark.parametrize("words", [("validate", "-f"), ("analyze",)])
@pytest.mark.parametrize(
    "raw", [b"", b"- 1\n", b"kind: [a]\napiVersion: {}\n", b"kind: List\nitems: [1, []]\n", b"7"]
)
def test_what_is_no_object_is_none(tmp_path, words, raw):
    assert told(tmp_path, raw, *words) == (0, "nothing found\n")


@pytest.mark.parametrize("words", [("validate", "-f"), ("analyze",)])
def test_documents_around_one_that_is_no_yaml_are_looked_at(tmp_path, words):
    broken = "---\na: {b: 1\nc: 2\n"
    code, output = told(tmp_path, f"{TYPO}{broken}---{TYPO}".encode(), *words)
    assert code == 79
    assert "given.yaml:10: error [IST0106] File given.yaml: $: is not YAML" in output
    assert "given.yaml:7: error" in output
    assert "given.yaml:17: error" in output


def test_a_key_that_stands_twice_is_told_where_the_second_is(tmp_path):
    twice = TYPO.replace("htpp: []", "hosts: [b]")
    code, output = told(tmp_path, twice.encode(), "validate", "-f")
    assert (code, "given.yaml:7: error [IST0106] VirtualService default/a: $: hosts stands" in output) == (
        79,
        True,
    )


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_lines_are_counted_however_they_end(tmp_path, ends):
    _, output = told(tmp_path, TYPO.replace("\n", ends).encode(), "validate", "-f")
    assert "given.yaml:7: error" in output
