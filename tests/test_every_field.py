"""No field is forgotten: each is described, and each is set in the input of some golden; pages say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from isthmus.api.described import fields, parts
from isthmus.console import reference

ROOT = Path(__file__).parent.parent
GOLDENS, PAGES = ROOT / "tests" / "golden", ROOT / "docs" / "reference"

SHOWN_ELSEWHERE: dict[str, str] = {}
"""By `Part.field` why no golden sets it."""


each_page = pytest.mark.parametrize("page", reference.pages(), ids=lambda page: page.name)


def fields_of(page):
    return [(part, field) for part in parts(page.head) for field in fields(part)]


def name_of(part, field):
    return f"{part.__name__}.{field.name}"


@each_page
def test_each_field_is_described(page):
    silent = [name_of(part, field) for part, field in fields_of(page) if not field.text]
    assert not silent, f"say under each what it does (hint: as in {parts.__module__})"


@each_page
def test_each_field_is_set_in_a_golden(page):
    shown = reference.goldens(GOLDENS)
    missing = {
        name_of(part, field) for part, field in fields_of(page) if (part, field.name) not in shown
    } - SHOWN_ELSEWHERE.keys()
    assert not missing, "write a golden that shows what it does"


def test_what_has_no_golden_is_a_field_of_some_kind():
    known = {name_of(part, field) for page in reference.pages() for part, field in fields_of(page)}
    assert SHOWN_ELSEWHERE.keys() <= known


def test_the_pages_are_those_that_would_be_made_now():
    made = reference.texts(PAGES, GOLDENS)
    found = {path.name: path.read_text() for path in reference.pages_in(PAGES)}
    behind = [name for name in made.keys() | found.keys() if made.get(name) != found.get(name)]
    assert not behind, "run make docs"
